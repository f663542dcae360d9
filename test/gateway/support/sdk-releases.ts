import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk';
import OldAnthropic from 'anthropic-sdk-0';

import type { MockScript } from '../../../local/mock-claude/server';
import { scriptHeader } from './exchange';

/** A model that the mock knows. */
export const MODEL = 'claude-sonnet-5-5';
/** The least of a message request. */
export const ASK = { model: MODEL, max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hello' }] };

/** One release of the official SDK, and where it differs from the other. */
export interface SdkRelease {
  readonly release: string;
  readonly create: (options: ClientOptions) => Anthropic;
  /** Where its exception classes are. */
  readonly errors: typeof Anthropic;
  /** Name of its class for 413. */
  readonly tooLarge: string;
  /** Name of its class for 529. */
  readonly overloaded: string;
  /** The anthropic-version that it sends. */
  readonly apiVersion: string;
}

/** The releases that are tested: the newest, and the last before 1.0. What the tests use of them has the same shape. */
export const SDK_RELEASES: readonly SdkRelease[] = [
  {
    release: '1.x',
    create: (options) => new Anthropic(options),
    errors: Anthropic,
    tooLarge: 'ContentTooLargeError',
    overloaded: 'OverloadedError',
    apiVersion: '2026-10-21',
  },
  {
    release: '0.x',
    // The fields that are given mean the same in both; the types differ only by what 1.x added.
    create: (options) => new OldAnthropic(options as OldClientOptions) as unknown as Anthropic,
    errors: OldAnthropic as unknown as typeof Anthropic,
    // This release has no classes of their own for these.
    tooLarge: 'APIError',
    overloaded: 'InternalServerError',
    apiVersion: '2023-06-01',
  },
];

type OldClientOptions = NonNullable<ConstructorParameters<typeof OldAnthropic>[0]>;

/** Request options that carry a script to the mock. */
export function scripted(script: MockScript): { headers: Record<string, string> } {
  return { headers: Object.fromEntries([scriptHeader(script)]) };
}
