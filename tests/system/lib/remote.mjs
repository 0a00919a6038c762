// Parts of a test as processes of their own, with functions to call: `startRemote` at one end, `answer` at the other.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/**
 * Starts `module`, a file of this folder, by way of the command `through`; it ends after the test `t`. Resolves to its functions,
 * each with at most one argument.
 */
export async function startRemote(t, module, { through = [] } = {}) {
  const [execPath, ...execArgv] = [...through, process.execPath];
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), { execPath, execArgv, stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  const calls = new Map();
  const ended = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`${module} has ended: ${signal ?? `status ${code}`}`)));
  });
  ended.catch((error) => calls.forEach(({ reject }) => reject(error)));
  await Promise.race([once(child, 'message'), ended]);
  child.on('message', ({ call, result, error }) => {
    const { resolve, reject } = calls.get(call);
    calls.delete(call);
    if (error) reject(new Error(error));
    else resolve(result);
  });
  let number = 0;
  const call = (name, argument) => new Promise((resolve, reject) => {
    calls.set(++number, { resolve, reject });
    child.send({ call: number, name, argument }, (error) => error && reject(error));
  });
  // whoever awaits it must not take it for a promise
  return new Proxy({}, { get: (_, name) => (name === 'then' ? undefined : (argument) => call(name, argument)) });
}

/** Calls these functions by name for the process that has started this one, until it ends. */
export function answer(functions) {
  process.on('message', async ({ call, name, argument }) => {
    try {
      process.send({ call, result: await functions[name](argument) });
    } catch (error) {
      process.send({ call, error: error.stack });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send('ready');
}
