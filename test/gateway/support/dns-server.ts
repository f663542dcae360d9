import { createSocket, type RemoteInfo } from 'node:dgram';

/** How every query is answered from now on; `broken` ends in the middle of a record. */
export type DnsBehaviour =
  { readonly addresses: readonly string[]; readonly ttl: number } | 'nxdomain' | 'servfail' | 'silence' | 'broken';

/** A DNS server of one answer: the same for every name, IPv4 only. */
export interface DnsServer {
  /** `127.0.0.1:port` or `[::1]:port`, as a resolver is configured. */
  readonly address: string;
  /** Switches; affects queries that come from now on. */
  behave(behaviour: DnsBehaviour): void;
  /** Names that were asked for by A queries. */
  queries(): readonly string[];
  close(): Promise<void>;
}

const TYPE_A = 1;
const CODES = { nxdomain: 3, servfail: 2 } as const;

/** Starts one on a free port of this machine. */
export async function startDnsServer(first: DnsBehaviour, host: '127.0.0.1' | '::1' = '127.0.0.1'): Promise<DnsServer> {
  let behaviour = first;
  const queries: string[] = [];
  const socket = createSocket(host === '::1' ? 'udp6' : 'udp4');
  socket.on('message', (query: Buffer, peer: RemoteInfo) => {
    const { name, type, end } = readQuestion(query);
    if (type === TYPE_A) queries.push(name);
    if (behaviour === 'silence') return;
    socket.send(answer(query, type, end, behaviour), peer.port, peer.address);
  });
  await new Promise<void>((done) => socket.bind(0, host, done));
  return {
    address: `${host === '::1' ? '[::1]' : host}:${socket.address().port}`,
    behave: (next) => {
      behaviour = next;
    },
    queries: () => queries,
    close: () =>
      new Promise((done) => {
        socket.close(done);
      }),
  };
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answer(query: Buffer, type: number, end: number, behaviour: Exclude<DnsBehaviour, 'silence'>): Buffer {
  const records =
    typeof behaviour === 'object' && type === TYPE_A
      ? behaviour.addresses.map((address) => {
          const record = Buffer.alloc(16);
          record.writeUInt16BE(0xc00c, 0); // the question's name
          record.writeUInt16BE(TYPE_A, 2);
          record.writeUInt16BE(1, 4); // IN
          record.writeUInt32BE(behaviour.ttl, 6);
          record.writeUInt16BE(4, 10);
          Buffer.from(address.split('.').map(Number)).copy(record, 12);
          return record;
        })
      : [];
  const head = Buffer.from(query.subarray(0, end));
  // A response, recursion desired and available.
  head.writeUInt16BE(0x8180 | (behaviour === 'nxdomain' || behaviour === 'servfail' ? CODES[behaviour] : 0), 2);
  head.writeUInt16BE(behaviour === 'broken' ? 1 : records.length, 6);
  head.writeUInt32BE(0, 8);
  // A name, so long that the answer has room for a record by its bytes, and nothing after it.
  const broken = Buffer.from('\x14twenty-bytes-of-name\0', 'latin1');
  return Buffer.concat([head, ...(behaviour === 'broken' ? [broken] : records)]);
}
