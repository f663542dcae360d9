import type { MockRule, RecordedRequest } from '../local/mock-claude/server';
import { UserError } from '../local/user-error';
import { exchange, NoAnswer } from './client';

/** The admin endpoints of a mock Claude API that stands behind the gateway: docs/mock-claude.md. */
export class MockAdmin {
  /** The last request that was looked at. */
  private lastSeq = 0;
  private before: readonly MockRule[] = [];
  /** No rule is in force, for all we know. */
  private empty = false;

  constructor(
    private readonly url: URL,
    private readonly ca: readonly string[] | undefined,
  ) {}

  /** Takes the mock over: its rules stand aside until `release`. */
  async take(): Promise<void> {
    this.before = (await this.ask('GET', '__mock/script')) as MockRule[];
    if (!Array.isArray(this.before))
      throw new UserError(`--mock-url ${this.url.href} answers, but is no mock Claude API`);
    await this.script([]);
    await this.newRequests();
  }

  /** Gives the mock back with the rules it had. */
  async release(): Promise<void> {
    await this.script(this.before);
  }

  /** Replaces the rules. */
  async script(rules: readonly MockRule[]): Promise<void> {
    if (rules.length === 0 && this.empty) return;
    await this.ask('PUT', '__mock/script', rules);
    this.empty = rules.length === 0;
  }

  /** What the mock received since the last look, oldest first. */
  async newRequests(): Promise<RecordedRequest[]> {
    const records = await this.requestsAfter(this.lastSeq);
    this.lastSeq = records.at(-1)?.seq ?? this.lastSeq;
    return records;
  }

  /** What the mock received after a request, @default the last that was looked at; it is not looked at by that. */
  async requestsAfter(seq = this.lastSeq): Promise<RecordedRequest[]> {
    return (await this.ask('GET', `__mock/requests?since=${seq}`)) as RecordedRequest[];
  }

  private async ask(method: string, path: string, value?: unknown): Promise<unknown> {
    const where = new URL(path, this.url.href.endsWith('/') ? this.url.href : `${this.url.href}/`);
    try {
      const { status, body } = await exchange({
        method,
        url: where,
        headers: { 'content-type': 'application/json' },
        chunked: false,
        timeoutMs: 30_000,
        ...(value === undefined ? {} : { body: Buffer.from(JSON.stringify(value)) }),
        ...(this.ca === undefined ? {} : { ca: this.ca }),
      });
      if (status !== 200) {
        throw new UserError(
          `--mock-url ${this.url.href}: HTTP ${status} to ${method} /${path}: is it a mock Claude API?`,
        );
      }
      return JSON.parse(body.toString()) as unknown;
    } catch (error) {
      if (error instanceof SyntaxError)
        throw new UserError(`--mock-url ${this.url.href} answers, but is no mock Claude API`);
      if (error instanceof NoAnswer) {
        throw new UserError(`--mock-url ${this.url.href} cannot be reached: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }
}
