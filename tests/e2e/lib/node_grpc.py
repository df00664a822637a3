"""gRPC on Node (@grpc/grpc-js), as a server and as a client; npm's, so it may not be here. NODE_PATH says where it is."""
import json

from lib.process import Child, command

METHODS = """
const grpc = require('@grpc/grpc-js');
const raw = {requestSerialize: x => x, requestDeserialize: x => x, responseSerialize: x => x, responseDeserialize: x => x};
const method = (name, requestStream, responseStream) => ({path: '/t.T/' + name, requestStream, responseStream, ...raw});
const service = {Echo: method('Echo', false, false), Fail: method('Fail', false, false), Collect: method('Collect', true, false),
                 Count: method('Count', false, true), Chat: method('Chat', true, true), Hang: method('Hang', true, true)};
const sizes = {'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1};
"""

SERVER = METHODS + """
const server = new grpc.Server(sizes);
server.addService(service, {
  Echo(call, done) {
    const end = new grpc.Metadata();
    end.set('x-end', '1');
    done(null, call.request, end);
  },
  Fail(call, done) { done({code: 9, details: 'grüß Gott: 100 %'}); },
  Collect(call, done) {
    let bytes = 0;
    call.on('data', part => bytes += part.length);
    call.on('end', () => done(null, Buffer.from(String(bytes))));
  },
  Count(call) {
    for (let n = 0; n < Number(call.request.toString()); n++) call.write(Buffer.alloc(1000, n));
    call.end();
  },
  Chat(call) { call.on('data', part => call.write(part)).on('end', () => call.end()); },
  Hang(call) { call.on('cancelled', () => console.log('over')).on('data', () => 0).write(Buffer.from('begun')); },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => console.log('port ' + port));
"""

# All calls in turn; a line of JSON tells what came of them.
CLIENT = METHODS + """
const [address, big, late] = process.argv.slice(1);
const client = new (grpc.makeGenericClientConstructor(service, 'T'))(address, grpc.credentials.createInsecure(), sizes);
const told = {};
const unary = (name, start) => new Promise(over => {
  const call = start((error, data) => { told[name] = error ? [error.code, error.details] : data.length > 20 ? data.length : String(data); });
  call.on('status', status => { told[name + '_end'] = status.metadata.get('x-end'); setImmediate(over); });
});
const stream = (name, call, take) => new Promise(over => {
  let bytes = 0;
  call.on('data', data => { bytes += data.length; if (take) take(data, call); });
  call.on('error', error => { told[name] = [error.code, bytes]; over(); }).on('end', () => { told[name] = told[name] || bytes; over(); });
});
(async () => {
  await unary('echo', done => client.Echo(Buffer.from('hi'), done));
  await unary('big', done => client.Echo(Buffer.alloc(Number(big), 1), done));
  await unary('fail', done => client.Fail(Buffer.alloc(0), done));
  await unary('none', done => client.makeUnaryRequest('/no/Such', x => x, x => x, Buffer.alloc(0), done));
  await unary('collect', done => {
    const call = client.Collect(done);
    for (let n = 0; n < 100; n++) call.write(Buffer.alloc(100));
    call.end();
    return call;
  });
  await stream('count', client.Count(Buffer.from('300')));
  let turns = 0;
  const chat = client.Chat();
  chat.write(Buffer.from('x'));
  await stream('chat', chat, (data, call) => ++turns < 20 ? call.write(Buffer.from('x')) : call.end());
  await stream('deadline', client.Hang({deadline: Date.now() + Number(late)}));
  await stream('cancel', client.Hang(), (data, call) => call.cancel());
  client.close();
  console.log(JSON.stringify(told));
})();
"""


def is_here():
    return command("node", "-e", "require('@grpc/grpc-js')").returncode == 0


class NodeGrpc(Child):
    def __init__(self):
        super().__init__("node", "-e", SERVER)
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


def node_calls(address, big, late_ms):
    """What CLIENT tells, as a dict."""
    done = command("node", "-e", CLIENT, "--", address, big, late_ms)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
