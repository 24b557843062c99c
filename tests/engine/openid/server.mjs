// An OpenID Connect server for tests: `oidc-provider`, certified by the OpenID Foundation, with people of ours.
//
// node server.mjs CONFIGURATION: a JSON file with host, listen (an address), port, certificate, key (paths), client, secret, redirects, people
// (name: {email, email_verified, groups, ...}) and audiences (name: seconds for which its tokens are valid). Prints a
// line when it listens. Passwords are not checked: its own forms take any.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , path, home] = process.argv;
const require = createRequire(`${home}/package.json`);
const { Provider, errors } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const given = JSON.parse(readFileSync(path));

const provider = new Provider(`https://${given.host}:${given.port}`, {
  clients: [
    {
      client_id: given.client,
      client_secret: given.secret,
      redirect_uris: given.redirects,
      grant_types: ["authorization_code", "client_credentials"],
      response_types: ["code"],
    },
    {
      client_id: "other",
      client_secret: given.secret,
      redirect_uris: given.redirects,
      grant_types: ["authorization_code", "client_credentials"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
  // As most servers do: all claims are in the ID token
  conformIdTokenClaims: false,
  cookies: { keys: ["a key of a test"] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_context, audience) {
        if (!(audience in given.audiences)) throw new errors.InvalidTarget();
        return { scope: "rest", audience, accessTokenFormat: "jwt", accessTokenTTL: given.audiences[audience] };
      },
    },
  },
  extraTokenClaims: (_context, token) => given.tokens[token.clientId],
  findAccount: (_context, name) =>
    name in given.people ? { accountId: name, claims: () => ({ sub: name, ...given.people[name] }) } : undefined,
});

createServer({ cert: readFileSync(given.certificate), key: readFileSync(given.key) }, provider.callback()).listen(
  given.port,
  given.listen,
  () => console.log("listens"),
);
