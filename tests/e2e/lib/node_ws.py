"""Node's `ws` package: an echo server and a client."""
import json

from lib.process import Child, command

WS = "const {WebSocket, WebSocketServer} = require('/usr/share/nodejs/ws');\n"

# Echoes; a message "close N" has it close with that code, "ping" has it ping. A line for each connection's end.
SERVER = WS + """
const server = new WebSocketServer({host: '127.0.0.1', port: 0, perMessageDeflate: {threshold: 0}, maxPayload: 64 << 20});
server.on('connection', ws => {
  ws.on('message', (data, binary) => {
    const [word, code] = binary ? [] : data.toString().split(' ');
    if (word === 'close') ws.close(Number(code), 'as asked');
    else if (word === 'ping') ws.ping('from the server');
    else ws.send(data, {binary});
  });
  ws.on('pong', data => ws.send('pong ' + data));
  ws.on('close', (code, reason) => console.log('closed ' + code + ' ' + reason));
});
server.on('listening', () => console.log('port ' + server.address().port));
"""

# To each URL at once: sends each of the messages when the one before came back, then closes; tells what came as JSON.
CLIENT = WS + """
const [urls, messages] = process.argv.slice(1).map(JSON.parse);
function talk(url, told) {
  const left = [...messages], came = [];
  const ws = new WebSocket(url, {rejectUnauthorized: false, perMessageDeflate: {threshold: 0}});
  const next = () => left.length ? ws.send(left.shift()) : ws.close(1000, 'done');
  ws.on('open', next);
  ws.on('message', data => { came.push(data.toString()); next(); });
  ws.on('error', error => { console.error(String(error)); process.exit(1); });
  ws.on('close', (code, reason) => told({came, code, reason: reason.toString(), extensions: ws.extensions}));
}
Promise.all(urls.map(url => new Promise(told => talk(url, told)))).then(all => console.log(JSON.stringify(all)));
"""


class NodeWs(Child):
    """SERVER."""

    def __init__(self):
        super().__init__("node", "-e", SERVER)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


def node_ws(urls, *messages):
    """What CLIENT tells of each, as dicts."""
    done = command("node", "-e", CLIENT, "--", json.dumps(urls), json.dumps(messages))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
