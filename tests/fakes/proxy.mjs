// SPDX-License-Identifier: LGPL-2.1-or-later
// An HTTP proxy that leads every CONNECT, whatever its host, to one port of this machine. GET / answers the hosts.
// usage: node proxy.mjs --to PORT
import http from 'node:http';
import net from 'node:net';
import { parseArgs } from 'node:util';

const { values: { to } } = parseArgs({ options: { to: { type: 'string' } } });
const hosts = [];
const server = http.createServer((request, response) => response.end(JSON.stringify(hosts)));

server.on('connect', (request, client) => {
  const upstream = net.connect(Number(to), '127.0.0.1', () => {
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    upstream.pipe(client).pipe(upstream);
  });

  hosts.push(request.url);
  for (const socket of [client, upstream])
    socket.on('error', () => { client.destroy(); upstream.destroy(); });
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}/v1`));
