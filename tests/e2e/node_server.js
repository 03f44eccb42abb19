// A server as node makes it. Prints `listening <port>`, and `connections <n>` whenever the number
// of those that have served changes. The argument is JSON: properties like keepAliveTimeout.
'use strict';
const crypto = require('crypto');
const http = require('http');

const options = JSON.parse(process.argv[2] || '{}');
const server = http.createServer(options, (request, response) => {
  if (request.method === 'GET') return response.end(`hello from node to ${request.url}\n`);
  const whole = crypto.createHash('sha256');
  request.on('data', (piece) => whole.update(piece));
  request.on('end', () => response.end(whole.digest('hex')));
});
Object.assign(server, options);
let served = 0;
server.on('connection', (socket) => {
  const tell = () => console.log(`connections ${served}`);
  socket.once('data', () => { served += 1; tell(); });
  socket.on('error', () => {});
  socket.on('close', () => { if (socket.bytesRead) { served -= 1; tell(); } });
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
