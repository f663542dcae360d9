import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';

import {
  ensureDebianPackages,
  gatewayPackages,
  type PackageFacts,
  parseCandidates,
  parseInstalled,
  planPackages,
  systemPackageIo,
} from '../../local/debian-packages';
import { repoDir, Sandbox, startTypeScript, until } from './sandbox';

const bookworm = ['nginx', 'libnginx-mod-http-lua', 'lua-cjson', 'lua-nginx-dns', 'luajit2', 'luajit', 'redis-server'];
const trixie = [
  'nginx',
  'libnginx-mod-http-lua',
  'lua-cjson',
  'lua-nginx-dns',
  'luajit',
  'valkey-server',
  'redis-server',
];

function facts(changes: Partial<PackageFacts> = {}): PackageFacts {
  return {
    apt: true,
    docker: false,
    right: 'root',
    installed: new Set(),
    available: new Set(bookworm),
    updated: false,
    services: new Set(),
    systemd: true,
    ...changes,
  };
}

function message(changes: Partial<PackageFacts>): string {
  const plan = planPackages(gatewayPackages, facts(changes));
  return plan.kind === 'impossible' ? plan.message : '';
}

describe('planPackages', () => {
  it('installs what each release has', () => {
    const first = ['nginx', 'libnginx-mod-http-lua', 'lua-cjson', 'lua-nginx-dns'];
    expect(planPackages(gatewayPackages, facts())).toEqual({
      kind: 'install',
      packages: [...first, 'luajit2', 'redis-server'],
      services: ['nginx', 'redis-server'],
    });
    expect(planPackages(gatewayPackages, facts({ available: new Set(trixie) }))).toEqual({
      kind: 'install',
      packages: [...first, 'luajit', 'valkey-server'],
      services: ['nginx', 'valkey-server'],
    });
  });

  it('takes an alternative that is installed, and installs the missing ones alone', () => {
    const installed = new Set([...bookworm.slice(1, 4), 'luajit', 'redis-server']);
    expect(planPackages(gatewayPackages, facts({ installed }))).toEqual({
      kind: 'install',
      packages: ['nginx'],
      services: ['nginx'],
    });
    expect(planPackages(gatewayPackages, facts({ installed: new Set([...installed, 'nginx']) }))).toEqual({
      kind: 'ready',
    });
  });

  it('leaves services alone that were there before', () => {
    expect(planPackages(gatewayPackages, facts({ services: new Set(['nginx']) }))).toMatchObject({
      services: ['redis-server'],
    });
  });

  it('fetches the lists once, when apt knows too little', () => {
    expect(planPackages(gatewayPackages, facts({ available: new Set() }))).toEqual({ kind: 'update' });
    expect(message({ available: new Set(['nginx']), updated: true })).toMatch(
      /^apt has no package libnginx-mod-http-lua, lua-cjson, lua-nginx-dns, luajit2 or luajit, valkey-server or redis-server, also after/,
    );
  });

  it('gives the one command to run where the right to install is missing', () => {
    expect(message({ right: 'none' })).toContain(
      '\n  sudo apt-get install -y --no-install-recommends nginx libnginx-mod-http-lua lua-cjson lua-nginx-dns luajit2 ' +
        'redis-server && sudo systemctl disable --now nginx redis-server\n',
    );
    expect(message({ right: 'none', systemd: false })).not.toContain('systemctl');
    expect(message({ right: 'none', available: new Set() })).toContain(
      'sudo apt-get update && sudo apt-get install -y --no-install-recommends nginx libnginx-mod-http-lua',
    );
  });

  it('knows machines without apt', () => {
    expect(planPackages(gatewayPackages, facts({ apt: false, docker: true }))).toEqual({ kind: 'docker' });
    expect(message({ apt: false })).toMatch(/neither apt-get nor docker.*Debian 12.*Ubuntu 22\.04.*container/);
  });
});

describe('what the tools print', () => {
  it('is read as it is', () => {
    expect(parseInstalled('nginx installed\nluajit not-installed\nredis-server config-files\n')).toEqual(
      new Set(['nginx']),
    );
    expect(
      parseCandidates(
        'nginx:\n  Installed: (none)\n  Candidate: 1.22.1-9\n  Version table:\n     1.22.1-9 500\nvalkey-server:\n  Installed: (none)\n  Candidate: (none)\n',
      ),
    ).toEqual(new Set(['nginx']));
  });
});

describe('ensureDebianPackages', () => {
  let sandbox: Sandbox;
  beforeEach(() => {
    sandbox = new Sandbox();
    sandbox.real('sh', 'mv', 'rm', 'cat', 'chmod', 'grep', 'setsid', 'dirname', 'flock', 'sleep', 'true');
    mkdirSync(sandbox.path('units'));
    mkdirSync(sandbox.path('sbin'));
  });
  afterEach(() => {
    sandbox.remove();
  });

  /** A Debian on which nothing is installed; `apt-get install` does as told. */
  function debian(install = '', uid = 0): void {
    sandbox.fake('dpkg-query', 'exit 1');
    sandbox.fake(
      'apt-cache',
      'shift; for p; do [ $p = valkey-server ] && v="(none)" || v=1; printf "%s:\\n  Candidate: %s\\n" $p "$v"; done',
    );
    sandbox.fake('id', `echo ${uid}`);
    sandbox.fake('systemctl');
    sandbox.fake('apt-get', `POLICY=$SANDBOX/sbin/policy-rc.d\n${install}\nexit 0`);
  }

  const options = (say: string[] = []) => ({
    env: sandbox.env(),
    policyPath: sandbox.path('sbin', 'policy-rc.d'),
    unitDirs: [sandbox.path('units')],
    systemdDir: sandbox.path('systemd'),
    stateDir: sandbox.path('state'),
    say: (line: string) => void say.push(line),
  });
  const ensure = (say?: string[]) => ensureDebianPackages(gatewayPackages, systemPackageIo(options(say)));
  const asks =
    'for s in nginx nginx.service redis-server.service redis-server@one.service cron ssh.service; do ' +
    'sh "$POLICY" "$s" start; echo "$s $?" >>"$SANDBOX/policy-said"; done';

  it('asks dpkg alone when nothing is missing', async () => {
    debian();
    sandbox.fake('dpkg-query', `for p in ${bookworm.join(' ')}; do echo "$p installed"; done; exit 1`);
    expect(await ensure()).toBe('ready');
    // Its format holds a line break.
    expect(sandbox.calls().filter((call) => !call.startsWith(' '))).toHaveLength(1);
  });

  it('installs as root, with services kept from starting and disabled, and leaves no policy behind', async () => {
    debian(`case "$*" in *install*) ${asks};; esac\necho "$DEBIAN_FRONTEND" >"$SANDBOX/frontend"`);
    const said: string[] = [];
    expect(await ensure(said)).toBe('installed');
    const packages = 'nginx libnginx-mod-http-lua lua-cjson lua-nginx-dns luajit2 redis-server';
    expect(said).toEqual([`installing Debian packages: ${packages}`]);
    expect(sandbox.calls().filter((call) => /^(apt-get|systemctl|sudo)/.test(call))).toEqual([
      `apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends ${packages}`,
      'systemctl disable nginx',
      'systemctl disable redis-server',
    ]);
    expect(sandbox.read('frontend')).toBe('noninteractive\n');
    expect(sandbox.read('policy-said').trim().split('\n')).toEqual([
      'nginx 101',
      'nginx.service 101',
      'redis-server.service 101',
      'redis-server@one.service 101',
      'cron 0',
      'ssh.service 0',
    ]);
    expect(existsSync(sandbox.path('sbin', 'policy-rc.d'))).toBe(false);
  });

  it('puts back the policy that was there, which has been asked meanwhile about other services', async () => {
    debian(asks);
    const policy = sandbox.write('sbin/policy-rc.d', '#!/bin/sh\n[ "$1" = cron ] && exit 104\nexit 0\n', 0o750);
    const before = { text: readFileSync(policy, 'utf8'), ...identity(policy) };
    await ensure();
    expect(sandbox.read('policy-said')).toContain('nginx 101\n');
    expect(sandbox.read('policy-said')).toContain('cron 104\n');
    expect({ text: readFileSync(policy, 'utf8'), ...identity(policy) }).toEqual(before);
    expect(existsSync(`${policy}.causeway-saved`)).toBe(false);
  });

  it('puts back a policy that is a link, also when the installation fails', async () => {
    debian('echo "E: Unable to fetch some archives" >&2; exit 100');
    symlinkSync('/nowhere', sandbox.path('sbin', 'policy-rc.d'));
    await expect(ensure()).rejects.toThrow(
      /^the Debian packages could not be installed: Unable to fetch some archives \(apt's own words: .*apt-get\.log\)$/,
    );
    expect(lstatSync(sandbox.path('sbin', 'policy-rc.d')).isSymbolicLink()).toBe(true);
    // Lists that are older than the mirror are the common reason: it has been tried again with new ones.
    expect(sandbox.calls().some((call) => call.endsWith(' update'))).toBe(true);
    expect(sandbox.calls().some((call) => call.startsWith('systemctl'))).toBe(false);
  });

  it('puts back what a run that was killed had left', async () => {
    debian();
    sandbox.write('sbin/policy-rc.d', '#!/bin/sh\n# made by causeway for the time of one installation\nexit 101\n');
    sandbox.write('sbin/policy-rc.d.causeway-saved', '#!/bin/sh\nexit 7\n');
    await ensure();
    expect(sandbox.read('sbin/policy-rc.d')).toBe('#!/bin/sh\nexit 7\n');
  });

  it('touches no service that was there before', async () => {
    debian(asks);
    sandbox.write('units/nginx.service', '');
    await ensure();
    expect(sandbox.read('policy-said')).toContain('nginx 0\n');
    expect(sandbox.calls().filter((call) => call.startsWith('systemctl'))).toEqual(['systemctl disable redis-server']);
  });

  it('goes through sudo when it asks for no password', async () => {
    debian('', 1000);
    sandbox.fake('sudo', 'shift; exec "$@"');
    const said: string[] = [];
    expect(await ensure(said)).toBe('installed');
    expect(said[0]).toMatch(/^installing Debian packages \(with sudo\): nginx /);
    expect(sandbox.calls()).toContainEqual(
      expect.stringMatching(/^sudo -n sh .*apt-install\.sh .*policy-rc\.d no nginx redis-server/),
    );
  });

  it.each(['without sudo', 'with a sudo that wants a password'])('gives the command %s', async (which) => {
    debian('', 1000);
    if (which !== 'without sudo') sandbox.fake('sudo', 'echo "sudo: a password is required" >&2; exit 1');
    await expect(ensure()).rejects.toThrow(
      /\n {2}sudo apt-get install -y --no-install-recommends nginx .* redis-server\n/,
    );
    expect(sandbox.calls().some((call) => call.startsWith('apt-get'))).toBe(false);
  });

  it('fetches the lists first where there are none', async () => {
    debian('case "$*" in *update*) : >"$SANDBOX/lists";; esac');
    sandbox.fake(
      'apt-cache',
      'shift; for p; do [ -e "$SANDBOX/lists" ] && v=1 || v="(none)"; printf "%s:\\n  Candidate: %s\\n" $p "$v"; done',
    );
    const said: string[] = [];
    expect(await ensure(said)).toBe('installed');
    expect(said[0]).toBe('fetching the lists of Debian packages');
    const apt = sandbox.calls().filter((call) => call.startsWith('apt-get'));
    expect(apt.map((call) => call.split(' ')[5])).toEqual(['update', 'install']);
    expect(apt[1]).toContain('valkey-server');
  });

  it('leaves it to docker, or says what is supported, where there is no apt', async () => {
    await expect(ensure()).rejects.toThrow(/neither apt-get nor docker/);
    sandbox.fake('docker');
    expect(await ensure()).toBe('docker');
  });

  it('lets apt-get finish when a signal comes, puts the policy back, and stops then', async () => {
    debian('case "$*" in *install*) : >"$SANDBOX/installing"; sleep 1; : >"$SANDBOX/finished";; esac');
    sandbox.write('sbin/policy-rc.d', 'before');
    chmodSync(sandbox.path('sbin', 'policy-rc.d'), 0o644);
    const settings = JSON.stringify({ ...options(), say: undefined });
    const started = startTypeScript(
      sandbox,
      'main.ts',
      `import { ensureDebianPackages, gatewayPackages, systemPackageIo } from '${repoDir}/local/debian-packages';
       import { runMain } from '${repoDir}/local/user-error';
       runMain(async () => {
         await ensureDebianPackages(gatewayPackages, systemPackageIo(${settings}));
         console.log('went on');
       });`,
    );
    await until(() => existsSync(sandbox.path('installing')));
    expect(sandbox.read('sbin/policy-rc.d')).toContain('made by causeway');
    started.process.kill('SIGTERM');
    await started.printed('stopping as soon as');
    started.process.kill('SIGINT');
    const { code, stdout, stderr } = await started.outcome;
    expect(existsSync(sandbox.path('finished'))).toBe(true);
    expect(sandbox.read('sbin/policy-rc.d')).toBe('before');
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /stopping as soon as apt-get has finished.*\ncauseway: stopped, after apt-get had finished\n$/s,
    );
    expect(code).toBe(143);
  });

  function identity(path: string): object {
    const { ino, mode, mtimeMs, uid } = statSync(path);
    return { ino, mode, mtimeMs, uid };
  }
});
