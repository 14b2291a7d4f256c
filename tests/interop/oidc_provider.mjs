// The certified oidc-provider, with its own pages for people (any name and password will do). Its
// settings come as JSON; what happens at it is told line by line.
//
//     node oidc_provider.mjs NODE_MODULES '{"port": 1, "clients": [...], "access_ttl": 300}'

import { pathToFileURL } from 'node:url';

const [modules, text] = process.argv.slice(2);
const settings = JSON.parse(text);
const { default: Provider } = await import(
  pathToFileURL(`${modules}/oidc-provider/lib/index.js`)
);
const { generateKeyPairSync } = await import('node:crypto');

// Keys of this start: another start has others.
const keys = [
  generateKeyPairSync('rsa', { modulusLength: 2048 }),
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
].map(({ privateKey }, at) => ({
  ...privateKey.export({ format: 'jwk' }),
  use: 'sig',
  kid: `${process.pid}-${at}`,
}));

const provider = new Provider(`http://127.0.0.1:${settings.port}`, {
  clients: settings.clients,
  jwks: { keys },
  cookies: { keys: ['a-key-of-cookies'] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'groups'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: false,
  features: {
    backchannelLogout: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: true },
  },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({
      sub,
      name: `${sub} Example`,
      groups: ['staff', sub],
      email: `${sub}@example.com`,
      email_verified: true,
    }),
  }),
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  ttl: { AccessToken: settings.access_ttl ?? 300, IdToken: 300, Session: 3600, Grant: 3600 },
  pkce: { required: () => true },
});

for (const name of [
  'pushed_authorization_request.success',
  'pushed_authorization_request.error',
  'authorization.success',
  'authorization.error',
  'grant.success',
  'grant.error',
  'grant.revoked',
  'backchannel.success',
  'backchannel.error',
  'end_session.success',
  'end_session.error',
  'server_error',
]) {
  provider.on(name, (context, ...rest) => {
    const error = rest.find((one) => one instanceof Error) ?? (context instanceof Error && context);
    const grant = context?.oidc?.params?.grant_type ?? '';
    console.log([`event ${name}`, grant, error ? `${error.message} ${error.error_detail ?? ''}` : '']
      .join(' ').trim());
  });
}
provider.use(async (context, next) => {
  const trace = context.get('traceparent');
  await next();
  console.log(`asked ${context.method} ${context.path} ${context.status} ${trace}`);
});
provider.listen(settings.port, '127.0.0.1', () => console.log('ready'));
