// Reads messages with Node's parser (llhttp) for test_h1_others.c: rows of accepted.tsv or refused.tsv on
// stdin as NAME TAB SIDE TAB HEX, answers as NAME TAB what was read, in the words of that test.
'use strict';
const { HTTPParser } = require('_http_common');
const LIMIT = 1 << 20; // bytes of a head: the limits are not what is compared
// Node hands out numbers; these have not changed since they were http_parser's.
const METHODS = ['DELETE', 'GET', 'HEAD', 'POST', 'PUT', 'CONNECT', 'OPTIONS', 'TRACE', 'COPY', 'LOCK', 'MKCOL', 'MOVE', 'PROPFIND'];

function escape(bytes) {
  let text = '';
  for (const c of bytes) text += c < 0x20 || c >= 0x7f || c === 0x5c ? '\\x' + c.toString(16).padStart(2, '0') : String.fromCharCode(c);
  return text;
}

function read(side, bytes) {
  const response = side.startsWith('res'), asked = (/:(\w+)/.exec(side) || [])[1] || 'GET';
  const parser = new HTTPParser();
  const said = [];
  let body = [], target = '', head = null, upgraded = false;
  parser.initialize(response ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, LIMIT);
  parser[HTTPParser.kOnHeaders] = (headers, url) => { target += url; }; // of many fields, and trailers
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url, status, reason, upgrade, keep) => {
    const tunnel = response && ((asked === 'CONNECT' && status >= 200 && status < 300) || status === 101);
    const what = response ? String(status) : `${METHODS[method]} ${escape(Buffer.from(url ?? target, 'latin1'))}`;
    head = { what, version: `${major}.${minor}`, keep };
    target = '';
    upgraded = tunnel || (!response && upgrade);
    if (tunnel) { said.push(`${head.what} ${head.version}`); head = null; return 2; }
    return response && asked === 'HEAD' ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (chunk, at, len) => { body.push(at === undefined ? chunk : chunk.subarray(at, at + len)); };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (head) said.push(`${head.what} ${head.version}${head.keep ? ' keep' : ''} ${escape(Buffer.concat(body))}`.trimEnd());
    head = null;
    body = [];
    target = '';
  };
  const n = parser.execute(bytes);
  if (n instanceof Error) return [...said, 'ERROR'].join(' | ');
  if (upgraded && side.includes('+upgrade') || (upgraded && response)) {
    const rest = bytes.subarray(n);
    return [...said, ...(rest.length ? [`tunnel ${escape(rest)}`] : [])].join(' | ');
  }
  const end = parser.finish();
  return (end instanceof Error ? [...said, 'ERROR'] : said).join(' | ');
}

for (const line of require('fs').readFileSync(0, 'latin1').split('\n')) {
  if (!line) continue;
  const [name, side, hex] = line.split('\t');
  process.stdout.write(`${name}\t${read(side, Buffer.from(hex, 'hex'))}\n`, 'latin1');
}
