"""WebSockets in streams of HTTP/2 (RFC 8441) by Node's http2 and its `ws` package: an echo server and a client."""
import json

from lib.node_ws import WS
from lib.process import Child, command

# `ws` takes any stream that looks like a socket.
OVER = WS + """
const http2 = require('http2');
function over(stream, isServer, options) {
  const ws = new WebSocket(null, undefined, options);
  stream.setNoDelay = () => {};
  ws._isServer = isServer;
  ws.setSocket(stream, Buffer.alloc(0), {maxPayload: 64 << 20, skipUTF8Validation: false});
  return ws;
}
"""

SERVER = OVER + """
const server = http2.createServer({settings: {enableConnectProtocol: true}});
server.on('stream', (stream, head) => {
  stream.on('error', () => {});
  if (head[':method'] !== 'CONNECT' || head[':protocol'] !== 'websocket') return stream.respond({':status': 400}, {endStream: true});
  stream.respond({':status': 200});
  const ws = over(stream, true, {});
  ws.on('message', (data, binary) => {
    const [word, code] = binary ? [] : data.toString().split(' ');
    if (word === 'close') ws.close(Number(code), 'as asked');
    else if (word === 'ping') ws.ping('from the server');
    else ws.send(data, {binary});
  });
  ws.on('pong', data => ws.send('pong ' + data));
  ws.on('close', (code, reason) => console.log('closed ' + code + ' ' + reason));
});
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
"""

# Over one connection to ORIGIN: a WebSocket for each path at once, which sends each of the messages when the one before came
# back, then closes; tells what came as JSON.
CLIENT = OVER + """
const [origin, paths, messages] = process.argv.slice(1).map(JSON.parse);
const session = http2.connect(origin, {rejectUnauthorized: false});
session.on('error', error => { console.error(String(error)); process.exit(1); });
function talk(path, told) {
  const left = [...messages], came = [];
  const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13'});
  stream.on('error', error => { console.error(String(error)); process.exit(1); });
  stream.on('response', head => {
    if (head[':status'] !== 200) {
      stream.close();
      return told({status: head[':status']});
    }
    const ws = over(stream, false, {});
    const next = () => left.length ? ws.send(left.shift()) : ws.close(1000, 'done');
    ws.on('message', data => { came.push(data.toString()); next(); });
    ws.on('close', (code, reason) => told({came, code, reason: reason.toString()}));
    next();
  });
}
session.on('remoteSettings', settings => {
  if (!settings.enableConnectProtocol) { console.error('not offered'); process.exit(1); }
  Promise.all(paths.map(path => new Promise(told => talk(path, told)))).then(all => {
    console.log(JSON.stringify(all));
    session.close();
  });
});
"""


class NodeWs2(Child):
    """SERVER, in clear text."""

    def __init__(self):
        super().__init__("node", "-e", SERVER)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


def node_ws2(origin, paths, *messages):
    """What CLIENT tells of each path, as dicts."""
    done = command("node", "-e", CLIENT, "--", json.dumps(origin), json.dumps(paths), json.dumps(messages))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
