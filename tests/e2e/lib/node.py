"""Node's own HTTP, as a server and as a client."""
import json

from lib.process import Child, command

# Paths: /big?N answers N bytes with their length, /chunks?N without; /echo gives the body back as it comes, and a
# trailer; the rest tells what came.
SERVER = """
const http = require('http'), crypto = require('crypto');
const block = Buffer.alloc(65536, 'x');
function big(res, left) {
  for (; left > 0; left -= block.length)
    if (!res.write(left < block.length ? block.subarray(0, left) : block))
      return res.once('drain', () => big(res, left - block.length));
  res.end();
}
function echo(req, res) {
  res.setHeader('Trailer', 'x-end');
  req.on('end', () => res.addTrailers({'x-end': '1'})).pipe(res);
}
function tell(req, res) {
  const hash = crypto.createHash('sha256');
  let bytes = 0;
  req.on('data', part => { bytes += part.length; hash.update(part); });
  req.on('end', () => res.end(JSON.stringify({method: req.method, url: req.url, headers: req.headers, bytes, sha256: hash.digest('hex')})));
}
const server = http.createServer((req, res) => {
  const [path, size] = req.url.split('?');
  if (path === '/big') res.setHeader('Content-Length', size);
  if (path === '/big' || path === '/chunks') big(res, Number(size));
  else if (path === '/echo') echo(req, res);
  else tell(req, res);
});
server.keepAliveTimeout = Number(process.argv[1]);
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
"""

# COUNT requests for a path at once over an agent of so many sockets; a line of JSON tells what came of them.
CLIENT = """
const http = require('http');
const [port, sockets, count, path] = process.argv.slice(1);
const agent = new http.Agent({keepAlive: true, maxSockets: Number(sockets)});
const used = new Set(), told = {statuses: {}, bytes: 0, trailers: 0};
let left = Number(count);
function over() {
  if (--left > 0) return;
  console.log(JSON.stringify({...told, sockets: used.size}));
  agent.destroy();
}
function take(res) {
  told.statuses[res.statusCode] = (told.statuses[res.statusCode] || 0) + 1;
  res.on('data', part => told.bytes += part.length);
  res.on('end', () => { told.trailers += Object.keys(res.trailers).length; over(); });
}
function ask() {
  const upload = path === '/echo';
  const req = http.request({host: '127.0.0.1', port, agent, path, method: upload ? 'POST' : 'GET'}, take);
  req.on('socket', socket => used.add(socket));
  req.on('error', error => { console.error(String(error)); process.exit(1); });
  let parts = upload ? 20 : 0;
  (function more() { parts-- > 0 ? req.write('y'.repeat(2000), more) : req.end(); })();
}
for (let n = Number(count); n > 0; n--) ask();
"""


class NodeServer(Child):
    """SERVER; idle connections are closed after `keep` milliseconds."""

    def __init__(self, keep=60000):
        super().__init__("node", "-e", SERVER, "--", keep)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


def node_client(port, path, count=1, sockets=4):
    """What CLIENT tells, as a dict."""
    done = command("node", "-e", CLIENT, "--", port, sockets, count, path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
