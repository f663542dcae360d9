/** `/v1/files` and what is below it. */
import { ApiError } from '../errors';
import { type Answer, type Exchange, jsonAnswer, type Unit } from '../exchange';
import { contentOf, type FileWriter, type StoredFile } from '../file-store';
import { freshId } from '../ids';
import { MultipartReader, type PartHead } from '../multipart';
import { limitOf } from '../paging';

/** Largest file, bytes. Source: platform.claude.com, "Files API". */
const MAX_FILE_BYTES = 500 * 1024 * 1024;

function metadata(file: StoredFile): { id: string } & Record<string, unknown> {
  return {
    id: file.id,
    type: 'file',
    filename: file.filename,
    mime_type: file.mimeType,
    size_bytes: file.sizeBytes,
    created_at: file.createdAt.toISOString(),
    // The API lets nobody download what a user uploaded; a test tool that did not could not show that bytes arrived whole.
    downloadable: true,
    expires_at: null,
  };
}

function find(ex: Exchange, id: string): StoredFile {
  const file = ex.mock.files.get(id);
  if (file === undefined) throw new ApiError(404, `File not found: ${id}`);
  return file;
}

/** Writes the part named `file`; other parts are read and dropped. */
class FilePart {
  head: PartHead | undefined;
  private current = '';

  constructor(private readonly writer: FileWriter) {}

  begin(head: PartHead): void {
    this.current = head.name;
    if (head.name === 'file') this.head = head;
  }

  async data(bytes: Buffer): Promise<void> {
    // A file that is too large is read to its end and refused then, but not written.
    if (this.current === 'file' && this.writer.size <= MAX_FILE_BYTES) await this.writer.write(bytes);
  }

  end(): void {
    this.current = '';
  }
}

/** Reads the upload's body; an error in it is reported once all of it has arrived. */
async function readUpload(ex: Exchange, part: FilePart): Promise<string | undefined> {
  let problem: string | undefined;
  let reader: MultipartReader | undefined;
  try {
    reader = new MultipartReader(ex.req.headers['content-type'] ?? '', part);
  } catch (error) {
    problem = (error as Error).message;
  }
  for await (const chunk of ex.body.chunks()) {
    if (problem !== undefined || reader === undefined) continue;
    try {
      await reader.push(chunk);
    } catch (error) {
      problem = (error as Error).message;
    }
  }
  try {
    if (problem === undefined) reader?.finish();
  } catch (error) {
    problem = (error as Error).message;
  }
  return problem;
}

/** Takes a file in, without ever holding it. */
export async function uploadFile(ex: Exchange): Promise<Answer> {
  const writer = ex.mock.files.writer();
  try {
    const part = new FilePart(writer);
    const problem = await readUpload(ex, part);
    if (writer.size > MAX_FILE_BYTES) throw new ApiError(413, 'File exceeds the maximum size of 500 MB');
    if (problem !== undefined) throw new ApiError(400, problem);
    if (part.head === undefined) throw new ApiError(400, 'file: Field required');
    const file: StoredFile = {
      id: freshId('file'),
      filename: part.head.filename ?? 'upload',
      mimeType: part.head.contentType ?? 'application/octet-stream',
      sizeBytes: writer.size,
      createdAt: new Date(),
      content: await writer.finish(),
    };
    await ex.mock.files.add(file);
    return jsonAnswer(metadata(file));
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Lists files, newest first, by the cursor `page` (SDK 1.x) with the older paging's fields beside it. */
export function listFiles(ex: Exchange): Answer {
  const files = ex.mock.files.list();
  const limit = limitOf(ex.query);
  const cursor = ex.query.get('page') ?? ex.query.get('after_id');
  const from = cursor === null ? 0 : files.findIndex((file) => file.id === cursor) + 1;
  if (cursor !== null && from === 0) throw new ApiError(400, `page: unknown cursor ${cursor}`);
  const data = files.slice(from, from + limit).map(metadata);
  const more = from + limit < files.length;
  const last = data.at(-1)?.id ?? null;
  return jsonAnswer({
    data,
    next_page: more ? last : null,
    has_more: more,
    first_id: data[0]?.id ?? null,
    last_id: last,
  });
}

/** A file's metadata. */
export function getFile(ex: Exchange, id: string): Answer {
  return jsonAnswer(metadata(find(ex, id)));
}

async function* contentUnits(file: StoredFile): AsyncGenerator<Unit> {
  for await (const bytes of contentOf(file)) yield { bytes };
}

/** A file's content, streamed. */
export function downloadFile(ex: Exchange, id: string): Answer {
  const file = find(ex, id);
  return {
    status: 200,
    headers: {
      'content-type': file.mimeType,
      'content-length': file.sizeBytes,
      'content-disposition': `attachment; filename="${encodeURIComponent(file.filename)}"`,
    },
    units: contentUnits(file),
  };
}

/** Deletes a file. */
export async function deleteFile(ex: Exchange, id: string): Promise<Answer> {
  find(ex, id);
  await ex.mock.files.delete(id);
  return jsonAnswer({ id, type: 'file_deleted' });
}
