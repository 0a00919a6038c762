// Two network namespaces of a test's own, joined by a cable: the hub in one, those who connect to it in the other. Nothing of
// the machine's own network is touched, and nothing is left behind: a namespace lives as long as a process in it, and the one
// that holds it ends with its standard input, which ends with this process.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { startRemote } from './remote.mjs';

const run = promisify(execFile);

/** Where the hub listens, and two addresses of the others. `oyez serve` without keys takes loopback addresses only, so these are some. */
export const HUB = '127.9.0.1';
export const STAYS = '127.9.0.2';
export const VANISHES = '127.9.0.3';

/** Makes the network, which ends after the test `t`. Its peers' kernel takes `receives` bytes for those who do not read. */
export async function network(t, { receives = 65_536 } = {}) {
  if (process.getuid() !== 0) throw new Error('a network of its own needs root: sudo -E env "PATH=$PATH" ./test system');
  const [hub, peers] = await Promise.all([Namespace.make(t), Namespace.make(t)]);
  await hub.ip('link set lo up');
  await hub.ip(`link add hub0 type veth peer name peer0 netns ${peers.pid}`);
  for (const [namespace, device, addresses] of [[hub, 'hub0', [HUB]], [peers, 'peer0', [STAYS, VANISHES]]]) {
    await namespace.write('conf/all/route_localnet', 1); // loopback addresses on a cable
    await namespace.write('tcp_rmem', `4096 ${receives} ${receives}`);
    for (const address of addresses) await namespace.ip(`address add ${address}/24 dev ${device}`);
    await namespace.ip(`link set ${device} up`);
  }
  return new Network(t, hub, peers);
}

class Network {
  constructor(t, hub, peers) {
    Object.assign(this, { t, hub, peers });
  }

  /** `command` in the hub's namespace. It ends with this process, however that ends. */
  atHub(...command) {
    return [...this.hub.enter, 'setpriv', '--pdeathsig', 'KILL', '--', ...command];
  }

  /** Starts `module` among the peers, or `beside` the hub, which it reaches over loopback: see `startRemote`. */
  startPeer(module, { beside = false } = {}) {
    return startRemote(this.t, module, { through: beside ? this.hub.enter : this.peers.enter });
  }

  /** Whoever is at VANISHES is gone, without a word: what the hub sends there is lost on the way. */
  async vanish() {
    const { stdout } = await this.peers.ip('-json link show dev peer0');
    const [{ address: hardware }] = JSON.parse(stdout);
    await this.peers.ip(`address delete ${VANISHES}/24 dev peer0`);
    // or the hub's kernel would notice that nobody answers for the address, and say so
    await this.hub.ip(`neighbour replace ${VANISHES} lladdr ${hardware} dev hub0 nud permanent`);
  }
}

class Namespace {
  static async make(t) {
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo made; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => holder.kill('SIGKILL'));
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit').then(() => { throw new Error('unshare --net has failed'); })]);
    return new Namespace(holder.pid);
  }

  constructor(pid) {
    this.pid = pid;
    this.enter = ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
  }

  run(...command) {
    const [program, ...args] = [...this.enter, ...command];
    return run(program, args, { maxBuffer: 64 << 20 });
  }

  ip(words) {
    return this.run('ip', ...words.split(' ')).catch((error) => {
      const advice = /No such file/.test(error.stderr) ? '\nno ip; as root: apt-get install -y --no-install-recommends iproute2' : '';
      throw new Error(`${error.message}${advice}`);
    });
  }

  write(setting, value) {
    return this.run('sh', '-c', 'echo "$1" > "/proc/sys/net/ipv4/$0"', setting, String(value));
  }
}
