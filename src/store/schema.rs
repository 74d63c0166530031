//! The tables, and how older ones become them.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Brings a database up to date, one version after the other, all or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for sql in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        change.execute_batch(sql)?;
    }
    change.pragma_update(None, "user_version", known)?;
    Ok(change.commit()?)
}

/// What each version adds. Never change one that was released: add another.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE locator (
        token TEXT PRIMARY KEY,
        camera TEXT NOT NULL,
        kind TEXT NOT NULL,
        key1 TEXT NOT NULL,
        key2 TEXT NOT NULL,
        key3 TEXT NOT NULL,
        upstream TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        UNIQUE (camera, kind, key1, key2, key3)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX locator_expires ON locator (expires) WHERE expires IS NOT NULL;
    CREATE TABLE camera_endpoint (
        camera TEXT NOT NULL,
        service TEXT NOT NULL,
        port INTEGER,
        path TEXT NOT NULL,
        PRIMARY KEY (camera, service)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE camera_state (
        camera TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (camera, key)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE camera_pin (
        camera TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        certificate TEXT NOT NULL,
        pinned INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // Nobody noted which were used: all keep their places for a while.
    "
    ALTER TABLE locator ADD COLUMN used INTEGER;
    UPDATE locator SET used = CAST(strftime('%s', 'now') AS INTEGER) WHERE expires IS NULL;
",
];
