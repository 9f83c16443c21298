#!/usr/bin/env node
// acp-schema.mjs - does every ACP message of a log fit the protocol's schema?
//
//   hib log SES --json --types 'acp.*' | node acp-schema.mjs MODULES
//
// MODULES is a folder with node_modules of @agentclientprotocol/sdk 2.4.0 and ajv.  A message is good when it fits version 1 of
// the schema, stable or unstable; methods that begin with _ are anybody's own.  Prints each kind of message that does not fit on
// a line, and counts on the last line; the exit code is 1 when there was any.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const modules = process.argv[2];
const require = createRequire(path.resolve(modules, 'x.js'));
const Ajv = require('ajv/dist/2020.js').default;

const load = (f) => JSON.parse(fs.readFileSync(require.resolve('@agentclientprotocol/sdk/schema/v1/' + f), 'utf8'));

// method -> { req, res, note } -> a function that returns complaints
function validators(file) {
  const { $defs } = load(file);
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema({ $id: 'acp', $defs });
  const names = {}, compiled = {};
  for (const [name, def] of Object.entries($defs)) {
    const method = def['x-method'];
    if (method) (names[method] ||= {})[/Request$/.test(name) ? 'req' : /Response$/.test(name) ? 'res' : 'note'] = name;
  }
  return (method, what, value) => {
    const name = names[method]?.[what];
    if (!name) return [`${what} is not in the schema`];
    const check = compiled[name] ||= ajv.compile({ $ref: 'acp#/$defs/' + name });
    if (check(value)) return [];
    const plain = check.errors.filter((e) => !['oneOf', 'anyOf', 'if', 'not'].includes(e.keyword));
    return (plain.length ? plain : check.errors).map((e) => `${name}${e.instancePath} ${e.message}`);
  };
}
const stable = validators('schema.json'), unstable = validators('schema.unstable.json');

const methods = { in: {}, out: {} };          // of open requests, by who asked
const counts = { messages: 0, unstable: 0, bad: 0 };
const said = new Set();

// What is to be checked of a message: [method, what, value], or null.
function subject(dir, msg) {
  const other = dir === 'in' ? 'out' : 'in', id = JSON.stringify(msg.id);
  if (msg.method && 'id' in msg) { methods[dir][id] = msg.method; return [msg.method, 'req', msg.params]; }
  if (msg.method) return [msg.method, 'note', msg.params];
  const method = methods[other][id];
  delete methods[other][id];
  if (!method || msg.error) return null;
  return [method, 'res', msg.result ?? {}];
}

function complain(dir, method, complaints) {
  const line = `${dir} ${method}: ${complaints[0]}`;
  counts.bad++;
  if (!said.has(line)) console.log(line);
  said.add(line);
}

for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { data } = JSON.parse(line);
  if (!data?.msg) continue;
  counts.messages++;
  if (data.msg.jsonrpc !== '2.0') complain(data.dir, String(data.msg.method), ['jsonrpc is not 2.0']);
  const s = subject(data.dir, data.msg);
  if (!s || s[0].startsWith('_') || s[0] === '$/cancel_request') continue;
  if (stable(...s).length === 0) continue;
  const still = unstable(...s);
  if (still.length === 0) counts.unstable++;
  else complain(data.dir, s[0], still);
}
console.log(JSON.stringify(counts));
process.exit(counts.bad ? 1 : 0);
