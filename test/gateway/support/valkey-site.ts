import { join } from 'node:path';

import { freePort } from '../../../local/ports';
import { startValkey, type ValkeyProcess } from '../../../local/valkey-process';
import { startDnsServer, type DnsServer } from './dns-server';

/** Where Valkey is first, and where it moves to. */
const [OLD, NEW] = ['127.0.0.2', '127.0.0.3'];
const PASSWORD = 'the-password-of-valkey-0123456789';
const USER = 'gateway';

/** A Valkey that is found by a name and asks for a sign-in, and what is done to it. */
export class ValkeySite {
  /** How a gateway finds it. */
  readonly target: { readonly host: string; readonly port: number; readonly user: string; readonly password: string };

  private constructor(
    private readonly dir: string,
    private readonly dns: DnsServer,
    port: number,
    public valkey: ValkeyProcess,
  ) {
    this.target = { host: 'valkey.example', port, user: USER, password: PASSWORD };
  }

  /** Starts it and its DNS server; its files lie in the directory. */
  static async start(dir: string): Promise<ValkeySite> {
    const dns = await startDnsServer({ addresses: [OLD], ttl: 1 });
    const port = await freePort(OLD);
    const site = new ValkeySite(dir, dns, port, await valkeyAt(dir, OLD, port));
    await site.addUser();
    return site;
  }

  /** The DNS servers of a gateway that shall find it. */
  get resolvers(): readonly string[] {
    return [this.dns.address];
  }

  /** Starts it where it was or at its other address, empty, and lets its name lead there. */
  async startAgain(host = OLD): Promise<void> {
    this.valkey = await valkeyAt(this.dir, host, this.target.port);
    await this.addUser();
    this.dns.behave({ addresses: [host], ttl: 1 });
  }

  /** Starts it at its other address, and kills the one before. */
  async move(): Promise<void> {
    const old = this.valkey;
    await this.startAgain(NEW);
    await old.kill();
  }

  /** Lets the gateway sign in, which may do what it may on AWS (lib/constructs/valkey.ts). */
  async addUser(): Promise<void> {
    await this.command('ACL', 'SETUSER', USER, 'on', `>${PASSWORD}`, '~*', '&*', '+@all', '-@admin', '-@dangerous');
  }

  /** Takes the sign-in away; connections that were signed in are closed. */
  async removeUser(): Promise<void> {
    await this.command('ACL', 'DELUSER', USER);
  }

  async command(...words: readonly string[]): Promise<void> {
    await this.valkey.command(...words);
  }

  async stop(): Promise<void> {
    await this.valkey.stop();
    await this.dns.close();
  }
}

function valkeyAt(dir: string, host: string, port: number): Promise<ValkeyProcess> {
  return startValkey({ dir: join(dir, host), host, port, password: PASSWORD, evictionPolicy: 'noeviction' });
}

/** How Valkey fails, and how all becomes well again. */
export interface ValkeyFault {
  readonly name: string;
  /** Whether a gateway goes without it for as long as the fault lasts. */
  readonly down: boolean;
  begin(site: ValkeySite): Promise<void>;
  end(site: ValkeySite): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/** All faults that a gateway must bear. */
export const VALKEY_FAULTS: readonly ValkeyFault[] = [
  { name: 'killed', down: true, begin: (site) => site.valkey.kill(), end: (site) => site.startAgain() },
  {
    name: 'hung',
    down: true,
    begin: (site) => {
      site.valkey.pause();
      return nothing();
    },
    end: (site) => {
      site.valkey.resume();
      return nothing();
    },
  },
  {
    name: 'restarted',
    down: false,
    begin: async (site) => {
      await site.valkey.kill();
      await site.startAgain();
    },
    end: nothing,
  },
  {
    name: 'moved',
    down: false,
    begin: (site) => site.move(),
    end: async (site) => {
      await site.valkey.kill();
      await site.startAgain();
    },
  },
  {
    name: 'full',
    down: false,
    begin: (site) => site.command('CONFIG', 'SET', 'maxmemory', '1'),
    end: (site) => site.command('CONFIG', 'SET', 'maxmemory', '64mb'),
  },
  {
    name: 'wrong credentials',
    down: true,
    begin: (site) => site.removeUser(),
    end: (site) => site.addUser(),
  },
];
