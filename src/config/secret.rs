//! Secrets by reference: a file, the environment or a systemd credential.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use zeroize::Zeroizing;

use crate::{auth::Secret, limits::SECRET_BYTES_MAX};

/// What is wrong, and what to do.
pub(super) type Complaint = (String, String);

/// Looks an environment variable up.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a secret is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reference<'a> {
    File(&'a str),
    Environment(&'a str),
    Credential(&'a str),
}

/// Reads a secret's reference, which must not be the secret.
pub(super) fn reference(value: &toml::Value) -> Result<Reference<'_>, Complaint> {
    let how = "write password = { file = \"PATH\" }, { env = \"NAME\" } or { credential = \"NAME\" }";
    let toml::Value::Table(table) = value else {
        let what = "a secret must not stand in the configuration";
        return Err((what.to_owned(), format!("put it into a file of mode 0600 and {how}")));
    };
    let mut entries = table.iter();
    let (Some((kind, toml::Value::String(name))), None) = (entries.next(), entries.next()) else {
        return Err(("this is no reference to one secret".to_owned(), how.to_owned()));
    };
    match kind.as_str() {
        "file" => Ok(Reference::File(name)),
        "env" => Ok(Reference::Environment(name)),
        "credential" => Ok(Reference::Credential(name)),
        _ => Err((format!("`{kind}` is no way to refer to a secret"), how.to_owned())),
    }
}

/// Follows a secret's reference. Paths are relative to `base`. No complaint holds any of the secret.
pub(super) fn follow(
    reference: Reference<'_>,
    base: &Path,
    env: Environment<'_>,
) -> Result<Secret, Complaint> {
    match reference {
        Reference::File(name) => from_file(&base.join(name)),
        Reference::Environment(name) => match env(name) {
            Some(text) => fitting(&Zeroizing::new(text), &format!("environment variable {name}")),
            None => {
                let what = format!("environment variable {name} is not set");
                Err((what, "set it before the gateway starts".to_owned()))
            }
        },
        Reference::Credential(name) => match env("CREDENTIALS_DIRECTORY") {
            Some(folder) => from_file(&Path::new(&folder).join(name)),
            None => {
                let what = format!("credential {name} is not there: systemd passed no credentials");
                Err((what, format!("add LoadCredential={name}:PATH to the service unit")))
            }
        },
    }
}

fn from_file(path: &Path) -> Result<Secret, Complaint> {
    let place = format!("the secret file {}", path.display());
    let unreadable = |error: io::Error| {
        (
            format!("cannot read {place}: {error}"),
            "create it with mode 0600, owned by the gateway's user".to_owned(),
        )
    };
    // Looked at before it is opened: to open a pipe waits for whoever writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err((format!("{place} is no file"), "put the password into a file of mode 0600".to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let what = format!("{place} is open to everybody (mode {mode:04o})");
        return Err((what, format!("run chmod 600 {}", path.display())));
    }
    // Room for a line end and one byte too many, so that the text never moves and leaves a copy behind.
    let room = SECRET_BYTES_MAX + 3;
    let mut text = Zeroizing::new(String::with_capacity(2 * room));
    file.take(room as u64).read_to_string(&mut text).map_err(unreadable)?;
    // One line end is the editor's, not the password's.
    let plain = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    fitting(plain, &place)
}

fn fitting(text: &str, place: &str) -> Result<Secret, Complaint> {
    if text.is_empty() {
        return Err((format!("{place} is empty"), "put the password into it".to_owned()));
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err((
            format!("{place} is longer than {SECRET_BYTES_MAX} bytes"),
            "use a shorter password".to_owned(),
        ));
    }
    if text.chars().any(char::is_control) {
        let what = format!("{place} holds more than one line, or control characters");
        return Err((what, "put the password alone into it".to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}
