//! Secrets by reference: a file, the environment or a systemd credential.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use zeroize::Zeroize;

use crate::{auth::Secret, limits::SECRET_BYTES_MAX};

/// What is wrong, and what to do.
pub(super) type Complaint = (String, String);

/// Follows a secret's reference. Paths are relative to `base`.
pub(super) fn resolve(
    value: &toml::Value,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, Complaint> {
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
        "file" => from_file(&base.join(name)),
        "env" => match env(name) {
            Some(text) => fitting(text, &format!("environment variable {name}")),
            None => {
                let what = format!("environment variable {name} is not set");
                Err((what, "set it before the gateway starts".to_owned()))
            }
        },
        "credential" => match env("CREDENTIALS_DIRECTORY") {
            Some(folder) => from_file(&Path::new(&folder).join(name)),
            None => {
                let what = format!("credential {name} is not there: systemd passed no credentials");
                Err((what, format!("add LoadCredential={name}:PATH to the service unit")))
            }
        },
        _ => Err((format!("`{kind}` is no way to refer to a secret"), how.to_owned())),
    }
}

fn from_file(path: &Path) -> Result<Secret, Complaint> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let what = format!("cannot read the secret file {shown}: {error}");
        (what, "create it with mode 0600, owned by the gateway's user".to_owned())
    };
    let data = fs::metadata(path).map_err(unreadable)?;
    let mode = data.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let what = format!("the secret file {shown} is open to everybody (mode {mode:04o})");
        return Err((what, format!("run chmod 600 {shown}")));
    }
    if data.len() > SECRET_BYTES_MAX as u64 {
        return Err(too_long(&format!("the secret file {shown}")));
    }
    let mut text = fs::read_to_string(path).map_err(unreadable)?;
    // One line end is the editor's, not the password's.
    let plain = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let secret = fitting(plain.to_owned(), &format!("the secret file {shown}"));
    text.zeroize();
    secret
}

fn fitting(text: String, place: &str) -> Result<Secret, Complaint> {
    if text.is_empty() {
        return Err((format!("{place} is empty"), "put the password into it".to_owned()));
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err(too_long(place));
    }
    Ok(Secret::new(text))
}

fn too_long(place: &str) -> Complaint {
    (format!("{place} is longer than {SECRET_BYTES_MAX} bytes"), "use a shorter password".to_owned())
}
