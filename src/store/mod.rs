//! The state database (SQLite): locators, observed identity, pins, clock offsets. What the rows mean is not
//! its business.
//!
//! A [`Store`] is one connection: `Send`, not `Sync`, and every call blocks on the disk. A gateway that serves has a
//! [`Clerk`] for it. What a call wrote is durable when it returns (`synchronous=FULL`).

mod clerk;
mod schema;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, TransactionBehavior, params};

pub use clerk::{Clerk, NotKept, Told};

use crate::limits::{FILE_LOCATORS_PER_CAMERA_MAX, LOCATOR_REST_MAX, LOCATORS_PER_CAMERA_MAX};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the state database {}: check that its folder exists and belongs to the gateway's user", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file was written by a newer gateway.
    #[error(
        "the state database is of version {found}, this gateway knows up to {known}: run the newer gateway, or restore the copy made before the upgrade"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// A camera has as many permanent locators of a kind as it may have, all of them in use.
    #[error("camera `{camera}` has {LOCATORS_PER_CAMERA_MAX} permanent locators of a kind in use already")]
    TooManyLocators {
        /// The camera.
        camera: String,
    },
    /// No thread can be had for it.
    #[error("no thread can be started for the state database")]
    Thread(#[source] std::io::Error),
    /// The database failed.
    #[error("the state database failed")]
    Database(#[from] rusqlite::Error),
}

/// A gateway address that stands for a camera's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locator {
    /// What a client sees; unique.
    pub token: String,
    /// The camera.
    pub camera: String,
    /// What kind of address it stands for.
    pub kind: String,
    /// What it is keyed by, together with camera and kind.
    pub keys: [String; 3],
    /// The camera's side of it.
    pub upstream: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it ends, in seconds since 1970; never if absent.
    pub expires: Option<i64>,
    /// When it was used last, in seconds since 1970, some hours more or less; never yet if absent.
    pub used: Option<i64>,
}

/// Where a camera offers a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The camera.
    pub camera: String,
    /// The service's namespace.
    pub service: String,
    /// The port, if it is not the camera's enrolled one.
    pub port: Option<u16>,
    /// Path and query.
    pub path: String,
}

/// What is pinned of a camera's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The camera.
    pub camera: String,
    /// The fingerprint of its public key.
    pub key: String,
    /// The fingerprint of the whole certificate.
    pub certificate: String,
    /// When it was pinned, in seconds since 1970.
    pub pinned: i64,
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens a database file, making it (mode 0600) or bringing it up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite would make the file with the mode of the umask; its journal takes the mode of the file.
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Self::prepare(Connection::open(path)?)
    }

    /// A database that nothing outlives, for tests and the demo.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.busy_timeout(BUSY_TIME_MAX)?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection })
    }

    /// Keeps locators, all or none. One with the same camera, kind and keys is replaced, its token included; those
    /// that ended before `now` (seconds since 1970) are forgotten. Gives the tokens that stand for nothing any more.
    pub fn locators_put(&mut self, locators: &[Locator], now: i64) -> Result<Vec<String>, StoreError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut gone =
            forget(&change, "DELETE FROM locator WHERE expires <= ?1 RETURNING token", params![now])?;
        let mut room = Vec::new();
        for locator in locators {
            put_locator(&change, locator, now, &mut gone, &mut room)?;
        }
        // No answer may push its own locators out.
        if let Some(locator) = locators.iter().find(|it| room.contains(&it.token)) {
            return Err(StoreError::TooManyLocators { camera: locator.camera.clone() });
        }
        gone.append(&mut room);
        change.commit()?;
        gone.retain(|token| locators.iter().all(|it| it.token != *token));
        Ok(gone)
    }

    /// Notes when a locator was used last.
    pub fn locator_used(&mut self, token: &str, used: i64) -> Result<(), StoreError> {
        self.connection.execute("UPDATE locator SET used = ?2 WHERE token = ?1", params![token, used])?;
        Ok(())
    }

    /// All locators, ended ones included.
    pub fn locator_all(&self) -> Result<Vec<Locator>, StoreError> {
        let sql =
            "SELECT token, camera, kind, key1, key2, key3, upstream, created, expires, used FROM locator";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], locator)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps where a camera offers a service, in place of what was kept before.
    pub fn endpoint_put(&mut self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO camera_endpoint (camera, service, port, path) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (camera, service) DO UPDATE SET port = excluded.port, path = excluded.path",
            params![endpoint.camera, endpoint.service, endpoint.port, endpoint.path],
        )?;
        Ok(())
    }

    /// Where a camera offers a service.
    pub fn endpoint_get(&self, camera: &str, service: &str) -> Result<Option<Endpoint>, StoreError> {
        let sql =
            "SELECT camera, service, port, path FROM camera_endpoint WHERE camera = ?1 AND service = ?2";
        let mut statement = self.connection.prepare(sql)?;
        Ok(statement.query_row([camera, service], endpoint).optional()?)
    }

    /// Everything kept about where cameras offer services.
    pub fn endpoint_all(&self) -> Result<Vec<Endpoint>, StoreError> {
        let sql = "SELECT camera, service, port, path FROM camera_endpoint ORDER BY camera, service";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], endpoint)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Pins a camera's certificate, unless it has a pin; gives the pin it then has.
    pub fn pin_first(&mut self, pin: &Pin) -> Result<Pin, StoreError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute(
            "INSERT INTO camera_pin (camera, key, certificate, pinned) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (camera) DO NOTHING",
            params![pin.camera, pin.key, pin.certificate, pin.pinned],
        )?;
        let kept = change.query_row(&format!("{PINS} WHERE camera = ?1"), [&pin.camera], pin_row)?;
        change.commit()?;
        Ok(kept)
    }

    /// Pins a camera's certificate in place of the one before.
    pub fn pin_put(&mut self, pin: &Pin) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO camera_pin (camera, key, certificate, pinned) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (camera) DO UPDATE SET
                 key = excluded.key, certificate = excluded.certificate, pinned = excluded.pinned",
            params![pin.camera, pin.key, pin.certificate, pin.pinned],
        )?;
        Ok(())
    }

    /// The pin of a camera's certificate.
    pub fn pin_get(&self, camera: &str) -> Result<Option<Pin>, StoreError> {
        let mut statement = self.connection.prepare(&format!("{PINS} WHERE camera = ?1"))?;
        Ok(statement.query_row([camera], pin_row).optional()?)
    }

    /// All pins.
    pub fn pin_all(&self) -> Result<Vec<Pin>, StoreError> {
        let mut statement = self.connection.prepare(&format!("{PINS} ORDER BY camera"))?;
        let rows = statement.query_map([], pin_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets the pin of a camera's certificate; whether there was one.
    pub fn pin_remove(&mut self, camera: &str) -> Result<bool, StoreError> {
        Ok(self.connection.execute("DELETE FROM camera_pin WHERE camera = ?1", [camera])? > 0)
    }

    /// Keeps values under a camera and a key each, in place of what was kept before; all or none.
    pub fn states_put<'a>(
        &mut self,
        states: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<(), StoreError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "INSERT INTO camera_state (camera, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT (camera, key) DO UPDATE SET value = excluded.value";
        let mut statement = change.prepare(sql)?;
        for (camera, key, value) in states {
            statement.execute([camera, key, value])?;
        }
        drop(statement);
        Ok(change.commit()?)
    }

    /// The value under a camera and a key.
    pub fn state_get(&self, camera: &str, key: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM camera_state WHERE camera = ?1 AND key = ?2";
        let mut statement = self.connection.prepare(sql)?;
        Ok(statement.query_row([camera, key], |row| row.get(0)).optional()?)
    }

    /// All cameras, keys and values.
    pub fn state_all(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let mut statement = self.connection.prepare("SELECT camera, key, value FROM camera_state")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Keeps one locator; what it replaces, and what makes room among those that end, is added to `gone`, what makes room
/// among the permanent ones to `room`.
fn put_locator(
    change: &Transaction<'_>,
    locator: &Locator,
    now: i64,
    gone: &mut Vec<String>,
    room: &mut Vec<String>,
) -> Result<(), StoreError> {
    let [key1, key2, key3] = &locator.keys;
    gone.extend(forget(
        change,
        "DELETE FROM locator WHERE camera = ?1 AND kind = ?2 AND key1 = ?3 AND key2 = ?4 AND key3 = ?5
         RETURNING token",
        params![locator.camera, locator.kind, key1, key2, key3],
    )?);
    if locator.expires.is_none() {
        make_room(change, locator, now, room)?;
    }
    if locator.expires.is_some() {
        // Of those that end by themselves the first to end make room.
        gone.extend(forget(
            change,
            "DELETE FROM locator WHERE token IN (SELECT token FROM locator
             WHERE camera = ?1 AND expires IS NOT NULL ORDER BY expires DESC, created DESC LIMIT -1 OFFSET ?2)
             RETURNING token",
            params![locator.camera, i64::try_from(FILE_LOCATORS_PER_CAMERA_MAX).unwrap_or(1) - 1],
        )?);
    }
    change.execute(
        "INSERT INTO locator (token, camera, kind, key1, key2, key3, upstream, created, expires, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            locator.token,
            locator.camera,
            locator.kind,
            key1,
            key2,
            key3,
            locator.upstream,
            locator.created,
            locator.expires,
            locator.used
        ],
    )?;
    Ok(())
}

/// Of a camera's permanent locators of a kind, the first that nobody uses makes room: who makes names of profiles up can
/// neither use up all places for ever nor take those of others that are in use.
fn make_room(
    change: &Transaction<'_>,
    locator: &Locator,
    now: i64,
    room: &mut Vec<String>,
) -> Result<(), StoreError> {
    let count =
        |row: &Row<'_>| row.get::<_, i64>(0).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let there = change.query_row(
        "SELECT count(*) FROM locator WHERE camera = ?1 AND kind = ?2 AND expires IS NULL",
        [&locator.camera, &locator.kind],
        count,
    )?;
    if there < LOCATORS_PER_CAMERA_MAX {
        return Ok(());
    }
    let rest = i64::try_from(LOCATOR_REST_MAX.as_secs()).unwrap_or(i64::MAX);
    let made = forget(
        change,
        "DELETE FROM locator WHERE token IN (SELECT token FROM locator
         WHERE camera = ?1 AND kind = ?2 AND expires IS NULL AND (used IS NULL OR used <= ?3)
         ORDER BY used IS NOT NULL, used, created LIMIT 1)
         RETURNING token",
        params![locator.camera, locator.kind, now.saturating_sub(rest)],
    )?;
    if made.is_empty() {
        return Err(StoreError::TooManyLocators { camera: locator.camera.clone() });
    }
    room.extend(made);
    Ok(())
}

/// Deletes locators; their tokens.
fn forget(change: &Transaction<'_>, sql: &str, values: impl Params) -> Result<Vec<String>, StoreError> {
    let mut statement = change.prepare(sql)?;
    let tokens = statement.query_map(values, |row| row.get(0))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

fn locator(row: &Row<'_>) -> rusqlite::Result<Locator> {
    Ok(Locator {
        token: row.get(0)?,
        camera: row.get(1)?,
        kind: row.get(2)?,
        keys: [row.get(3)?, row.get(4)?, row.get(5)?],
        upstream: row.get(6)?,
        created: row.get(7)?,
        expires: row.get(8)?,
        used: row.get(9)?,
    })
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    Ok(Endpoint { camera: row.get(0)?, service: row.get(1)?, port: row.get(2)?, path: row.get(3)? })
}

fn pin_row(row: &Row<'_>) -> rusqlite::Result<Pin> {
    Ok(Pin { camera: row.get(0)?, key: row.get(1)?, certificate: row.get(2)?, pinned: row.get(3)? })
}

const PINS: &str = "SELECT camera, key, certificate, pinned FROM camera_pin";

/// How long to wait for another process that reads the file, such as a backup.
const BUSY_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(number: usize, expires: Option<i64>) -> Locator {
        Locator {
            token: format!("t{number}"),
            camera: "gate-1".to_owned(),
            kind: "stream".to_owned(),
            keys: [number.to_string(), "RTSP".to_owned(), String::new()],
            upstream: format!("/stream/{number}?x=\u{e4}"),
            created: 1_000 + i64::try_from(number).unwrap(),
            expires,
            used: None,
        }
    }

    const NOBODY: [&str; 0] = [];

    fn find(store: &Store, token: &str) -> Option<Locator> {
        store.locator_all().unwrap().into_iter().find(|it| it.token == token)
    }

    #[test]
    fn rows_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut store = Store::open(&path).unwrap();
        let endpoint = Endpoint {
            camera: "gate-1".to_owned(),
            service: "http://www.onvif.org/ver10/media/wsdl".to_owned(),
            port: Some(8080),
            path: "/onvif/media".to_owned(),
        };
        store.locators_put(&[locator(1, None)], 0).unwrap();
        store.endpoint_put(&endpoint).unwrap();
        store.states_put([("gate-1", "clock-offset", "1")].into_iter()).unwrap();
        store.states_put([("gate-1", "clock-offset", "-7")].into_iter()).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(find(&store, "t1"), Some(locator(1, None)));
        assert_eq!(find(&store, "t2"), None);
        assert_eq!(store.endpoint_get("gate-1", &endpoint.service).unwrap().as_ref(), Some(&endpoint));
        assert_eq!(store.endpoint_all().unwrap(), [endpoint]);
        assert_eq!(store.state_get("gate-1", "clock-offset").unwrap().as_deref(), Some("-7"));
        assert_eq!(
            store.state_all().unwrap(),
            [("gate-1".to_owned(), "clock-offset".to_owned(), "-7".to_owned())]
        );
        assert_eq!(store.state_get("gate-2", "clock-offset").unwrap(), None);
    }

    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut store = Store::open(&path).unwrap();
        store.states_put([("c", "k", "v")].into_iter()).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn permanent_locators_are_bounded_and_temporary_ones_end() {
        let mut store = Store::in_memory().unwrap();
        for number in 0..LOCATORS_PER_CAMERA_MAX {
            store.locators_put(&[locator(number, None)], 0).unwrap();
        }
        // The same keys again are no further locator.
        store.locators_put(&[Locator { token: "renewed".to_owned(), ..locator(0, None) }], 0).unwrap();
        assert_eq!(find(&store, "t0"), None);
        assert_eq!(store.locator_all().unwrap().len(), LOCATORS_PER_CAMERA_MAX);
        let ends = |number: usize| 1_400 + i64::try_from(number).unwrap();
        for number in 0..FILE_LOCATORS_PER_CAMERA_MAX {
            assert_eq!(
                store.locators_put(&[locator(1_000 + number, Some(ends(number)))], 0).unwrap(),
                NOBODY
            );
        }
        let gone = store.locators_put(&[locator(9_999, Some(2_000))], 0).unwrap();
        assert_eq!(gone, ["t1000"], "the first to end made room");
        assert_eq!(find(&store, "t1000"), None);
        let all = LOCATORS_PER_CAMERA_MAX + FILE_LOCATORS_PER_CAMERA_MAX;
        assert_eq!(store.locator_all().unwrap().len(), all);
        assert_eq!(store.locators_put(&[], 1_999).unwrap().len(), FILE_LOCATORS_PER_CAMERA_MAX - 1);
        assert!(find(&store, "t9999").is_some());
        assert_eq!(store.locators_put(&[], 2_000).unwrap(), ["t9999"]);
        // The same row anew is not gone.
        assert_eq!(store.locators_put(&[locator(1, None)], 0).unwrap(), NOBODY);
    }

    #[test]
    fn a_locator_that_nobody_uses_makes_room_and_one_in_use_does_not() {
        let mut store = Store::in_memory().unwrap();
        let rest = i64::try_from(LOCATOR_REST_MAX.as_secs()).unwrap();
        let now = 1_000_000;
        let put = |store: &mut Store, number: usize, now| store.locators_put(&[locator(number, None)], now);
        put(&mut store, 0, now).unwrap();
        store.locator_used("t0", now).unwrap();
        let picture = Locator { kind: "snapshot".to_owned(), ..locator(5_000, None) };
        store.locators_put(&[picture], now).unwrap();
        // Three hundred names that somebody made up.
        let gone: Vec<_> = (1..=300).flat_map(|number| put(&mut store, number, now).unwrap()).collect();
        assert_eq!(gone.len(), 301 - LOCATORS_PER_CAMERA_MAX);
        assert_eq!((gone[0].as_str(), gone[1].as_str()), ("t1", "t2"), "the first that was never used");
        assert!(
            find(&store, "t0").is_some() && find(&store, "t5000").is_some() && find(&store, "t300").is_some()
        );
        // All in use.
        for it in store.locator_all().unwrap() {
            store.locator_used(&it.token, now + 10).unwrap();
        }
        let error = put(&mut store, 301, now + rest).unwrap_err();
        assert_eq!(error.to_string(), "camera `gate-1` has 256 permanent locators of a kind in use already");
        assert_eq!(put(&mut store, 301, now + 10 + rest).unwrap(), ["t0"], "the first of those at rest");
        assert_eq!(find(&store, "t300").unwrap().used, Some(now + 10));
    }

    #[test]
    fn a_token_stands_for_one_address_only() {
        let mut store = Store::in_memory().unwrap();
        store.locators_put(&[locator(1, None)], 0).unwrap();
        let other = Locator { camera: "gate-2".to_owned(), ..locator(1, None) };
        assert!(matches!(store.locators_put(&[other], 0), Err(StoreError::Database(_))));
        assert_eq!(find(&store, "t1").unwrap().camera, "gate-1");
    }

    #[test]
    fn the_first_pin_stays_until_it_is_forgotten() {
        let mut store = Store::in_memory().unwrap();
        let pin = |key: &str, pinned| Pin {
            camera: "gate-1".to_owned(),
            key: key.to_owned(),
            certificate: "c".to_owned(),
            pinned,
        };
        assert_eq!(store.pin_get("gate-1").unwrap(), None);
        assert_eq!(store.pin_first(&pin("a", 1)).unwrap(), pin("a", 1));
        assert_eq!(store.pin_first(&pin("b", 2)).unwrap(), pin("a", 1), "the first stays");
        assert_eq!((store.pin_get("gate-2").unwrap(), store.pin_all().unwrap()), (None, vec![pin("a", 1)]));
        assert!(store.pin_remove("gate-1").unwrap() && !store.pin_remove("gate-1").unwrap());
        assert_eq!(store.pin_first(&pin("b", 3)).unwrap(), pin("b", 3));
        store.pin_put(&pin("c", 4)).unwrap();
        assert_eq!(store.pin_all().unwrap(), [pin("c", 4)]);
    }

    #[test]
    fn an_older_database_gets_what_was_added_since() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut store = Store::open(&path).unwrap();
        store.locators_put(&[locator(1, None)], 0).unwrap();
        let older = "DROP TABLE camera_pin; ALTER TABLE locator DROP COLUMN used; PRAGMA user_version = 1";
        store.connection.execute_batch(older).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.pin_all().unwrap(), []);
        let kept = find(&store, "t1").unwrap();
        assert!(kept.used.is_some(), "who used it is not known, so it keeps its place");
        assert_eq!(Locator { used: None, ..kept }, locator(1, None));
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        drop(Store::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Store::open(&path).unwrap_err().to_string();
        assert!(error.contains("version 99") && error.contains("run the newer gateway"), "{error}");
    }
}
