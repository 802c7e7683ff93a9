// A token server for the tests: npm's oauth2-mock-server, whose refresh tokens rotate here. The
// headers of a token request say how it is answered. usage: node oauth2-server.mjs NODE_MODULES
import { randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { OAuth2Server } = await import(pathToFileURL(`${process.argv[2]}/oauth2-mock-server/dist/index.mjs`));
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
const valid = new Set(['first-refresh-token']); // each is valid once

server.service.on('beforeTokenSigning', (token, req) => {
  token.payload.exp = Math.floor(Date.now() / 1000) + Number(req.headers['x-life'] ?? 3600);
  token.payload.jti = randomUUID();
});
server.service.on('beforeResponse', (response, req) => {
  const grant = req.body.grant_type;
  if (req.headers['x-mode'] === 'error') {
    response.statusCode = 200;
    response.body = { error: 'temporarily_unavailable' };
  } else if (req.headers['x-mode'] === 'revoked' || (grant === 'refresh_token' && !valid.delete(req.body.refresh_token))) {
    response.statusCode = 400;
    response.body = { error: 'invalid_grant' };
  } else {
    response.body.expires_in = Number(req.headers['x-life'] ?? 3600);
    delete response.body.refresh_token;
    if (grant !== 'client_credentials') {
      response.body.refresh_token = `refresh-${randomUUID()}`;
      valid.add(response.body.refresh_token);
    }
  }
});
await server.start(0, '127.0.0.1');
console.log(server.address().port);
