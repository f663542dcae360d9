import { block, comment, file } from '../directives';

/** The request's head, as gateway/lua/causeway/phase/rewrite.lua reads it. */
const HEAD = '$http_x_api_key\\n$http_authorization\\n$http_connection\\n$request_method $request_uri';

/** The head of an upstream's answer, as gateway/lua/causeway/phase/header_filter.lua reads it. */
const ANSWER_HEAD = '$upstream_http_connection\\n$causeway_framed\\n$upstream_http_content_type';

/** What became of the request, in the order of gateway/lua/causeway/phase/record.lua. */
const END = [
  'request_time',
  'request_length',
  'bytes_sent',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_response_time',
  'request_completion',
  'remote_addr',
  'server_protocol',
  'upstream_status',
  'upstream_addr',
  'upstream_http_request_id',
  'http_user_agent',
];

/** What Lua asks of nginx for every request. */
export function factsConf(): string {
  return file(
    comment(
      'Many variables at once: each question costs Lua a third of a microsecond. No header can hold the line ends between',
      'them. Volatile where a later attempt has another value.',
    ),
    variable('causeway_head', HEAD),
    block('map $upstream_http_content_length$upstream_http_transfer_encoding $causeway_framed', [
      'volatile;',
      '"" "";',
      'default 1;',
    ]),
    variable('causeway_answer_head', ANSWER_HEAD),
    variable('causeway_facts', END.map((name) => `$${name}`).join('\\n')),
  );
}

/** A variable of others: a map that has one row. */
function variable(name: string, value: string): string {
  return block(`map $request_method $${name}`, ['volatile;', `default "${value}";`]);
}
