//! Who keeps the connection to Redis: makes it, looks after it, makes the next one.

use super::settings::RedisSettings;
use super::{Shared, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates,
};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// First pause after a connection that could not be made; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause: Redis is back for us this long after it is back, at most.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// From the first packet to a connection that has answered.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often a connection is asked whether it is still there, so that no request has to find out.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Reads what TLS needs; connects to nothing yet.
pub(super) fn client(settings: &RedisSettings) -> Result<Client, StoreError> {
    let (host, port) = (settings.host.to_string(), settings.port);
    let address = if settings.tls.is_some() {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut login = RedisConnectionInfo::default().set_db(settings.database.into());
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    let info = address
        .into_connection_info()
        .map_err(StoreError::Client)?
        .set_redis_settings(login);
    let Some(tls) = &settings.tls else {
        return Client::open(info).map_err(StoreError::Client);
    };
    let client_tls = match &tls.identity {
        Some((chain, key)) => Some(ClientTlsConfig {
            client_cert: read(chain)?,
            client_key: read(key)?,
        }),
        None => None,
    };
    let certificates = TlsCertificates {
        client_tls,
        root_cert: tls.ca.as_deref().map(read).transpose()?,
    };
    Client::build_with_tls(info, certificates).map_err(StoreError::Client)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })
}

/// Runs until it is aborted. `client` is for the first connection.
pub(super) async fn keep(line: Arc<Shared>, client: Client) {
    let mut pause = PAUSE_MIN;
    let mut client = Ok(client);
    loop {
        let connected = match client {
            Ok(client) => connect(&line, &client).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(connection) => {
                info!(redis = %line.settings.host, "Redis is connected");
                let error = serve(&line, connection).await;
                // One that lets us in and refuses every call (a replica) is not asked ever faster.
                if error.is_some() || line.answered.load(Ordering::Relaxed) {
                    pause = PAUSE_MIN;
                }
                let cause = error.as_ref().map(|error| error as &dyn Error);
                warn!(redis = %line.settings.host, error = cause, "Redis is lost; connecting anew");
            }
            Err(error) => {
                let error: &(dyn Error + 'static) = &error;
                warn!(redis = %line.settings.host, error, "Redis cannot be reached; trying again");
            }
        }
        // Replicas that lost it together do not come back together.
        sleep(pause.mul_f64(fastrand::f64().mul_add(0.5, 0.75))).await;
        pause = (pause * 2).min(PAUSE_MAX);
        client = client_anew(&line).await;
    }
}

/// A client by its files as they are now: certificates are renewed.
async fn client_anew(line: &Arc<Shared>) -> Result<Client, RedisError> {
    let line = Arc::clone(line);
    let made = tokio::task::spawn_blocking(move || client(&line.settings)).await;
    let made = made.map_err(|panicked| RedisError::from(std::io::Error::other(panicked)))?;
    made.map_err(|error| match error {
        StoreError::Client(error) => error,
        StoreError::File { .. } => RedisError::from(std::io::Error::other(error)),
    })
}

/// A connection that knows the scripts.
async fn connect(line: &Shared, client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // Each answer is waited for as long as whoever asks wants to, and no limit of the library's
    // ends a connection before.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(None);
    let connecting = async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let scripts = super::lock(&line.scripts).clone();
        for script in scripts {
            script.load_async(&mut connection).await?;
        }
        Ok(connection)
    };
    match timeout(CONNECT_MAX, Box::pin(connecting)).await {
        Ok(connected) => connected,
        Err(elapsed) => Err(RedisError::from(std::io::Error::from(elapsed))),
    }
}

/// Lets requests use it until a request or a ping finds that it is of no use any more.
async fn serve(line: &Shared, mut connection: MultiplexedConnection) -> Option<RedisError> {
    line.faults.store(0, Ordering::Relaxed);
    line.answered.store(false, Ordering::Relaxed);
    line.use_connection(Some(connection.clone()));
    let error = loop {
        tokio::select! {
            // An old word about the connection before this one changes nothing.
            () = line.trouble.notified() => {
                if line.connection.load().is_none() {
                    break None;
                }
            }
            () = sleep(PING_EVERY) => {}
        }
        let ping = redis::cmd("PING");
        let asked = timeout(CONNECT_MAX, ping.query_async::<()>(&mut connection));
        match asked.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => break Some(error),
            Err(elapsed) => break Some(RedisError::from(std::io::Error::from(elapsed))),
        }
    };
    line.use_connection(None);
    error
}
