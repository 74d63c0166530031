//! Files that nobody else may read, and files that appear whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// Writes a new file that only its owner may read, durable when this returns.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    new_private(path, bytes).map(drop)
}

fn new_private(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    File::open(folder_of(path))?.sync_all()?;
    Ok(file)
}

/// The folder of a file; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where something is made that is to take a place.
pub(super) fn beside(place: &Path) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(".new");
    path.into()
}

/// A new text of a file, beside its place until it takes that. It has the rights and owner of the file as far as whoever
/// writes may give them. Dropped, it is gone.
pub(super) struct Beside<'a> {
    place: &'a Path,
    path: PathBuf,
}

impl<'a> Beside<'a> {
    pub(super) fn write(place: &'a Path, bytes: &[u8]) -> io::Result<Self> {
        let before = fs::metadata(place)?;
        let path = beside(place);
        let written = new_private(&path, bytes);
        if let Err(error) = &written
            && error.kind() == io::ErrorKind::AlreadyExists
        {
            return Err(io::Error::other(format!(
                "{} is there: somebody writes it just now, or was cut off; then remove it",
                path.display()
            )));
        }
        // From here on it is ours, and goes if the rest fails: half of it, too.
        let beside = Self { place, path };
        let file = written?;
        // Of the file that was made, whatever has its name by now: root may do this in somebody else's folder.
        file.set_permissions(before.permissions())?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        Ok(beside)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has this text from now on, durable when this returns.
    pub(super) fn take_its_place(self) -> io::Result<()> {
        fs::rename(&self.path, self.place)?;
        File::open(folder_of(self.place))?.sync_all()
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // Once it has taken its place there is none.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a file beside its place and renames it there, durable when this returns. Only its owner may read it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_private(&beside, bytes)?;
    fs::rename(&beside, path)?;
    File::open(folder_of(path))?.sync_all()
}

/// The nearest place on the way to a file or folder, itself included, that others than root and this process's own user
/// can change: who can, may have something else stand there at any moment.
pub(super) fn changed_by_others(path: &Path) -> io::Result<Option<PathBuf>> {
    let own = fs::metadata("/proc/self")?.uid();
    for place in fs::canonicalize(path)?.ancestors() {
        let found = fs::metadata(place)?;
        // In a sticky folder nobody takes away what is another's.
        let is_open = found.mode() & WRITTEN_BY_OTHERS != 0 && found.mode() & STICKY == 0;
        if is_open || ![0, own].contains(&found.uid()) {
            return Ok(Some(place.to_owned()));
        }
    }
    Ok(None)
}

const WRITTEN_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Removes the socket that an earlier run left behind, and nothing but a socket at which nobody answers.
pub(super) fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() && UnixStream::connect(path).is_ok() => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves at this socket"))
        }
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other("something is there that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_file_of_the_current_folder() {
        for (path, folder) in [("ready.json", "."), ("./a/ready.json", "./a"), ("/ready.json", "/")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }

    #[test]
    fn a_new_text_takes_its_place_or_leaves_no_trace() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cordon.toml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let beside = Beside::write(&file, b"new").unwrap();
        assert!(Beside::write(&file, b"another").is_err(), "somebody else writes it just now");
        drop(beside);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        Beside::write(&file, b"new").unwrap().take_its_place().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_can_change_is_named_wherever_it_stands() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (above, folder) = (dir.path().join("above"), dir.path().join("above/folder"));
        fs::create_dir_all(&folder).unwrap();
        let found = |mode: u32| {
            fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
            changed_by_others(&folder).unwrap()
        };
        let named = Some(fs::canonicalize(&above).unwrap());
        for (mode, expected) in
            [(0o755, &None), (0o775, &named), (0o757, &named), (0o1777, &None), (0o700, &None)]
        {
            assert_eq!(&found(mode), expected, "{mode:o}");
        }
    }

    #[test]
    fn only_a_socket_makes_way_for_the_admin_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("admin.sock"), folder.path().join("cordon.toml"));
        let serving = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        fs::write(&file, "kept").unwrap();
        assert_eq!(remove_socket(&socket).unwrap_err().to_string(), "another process serves at this socket");
        drop(serving);
        remove_socket(&socket).unwrap();
        assert!(!socket.exists());
        remove_socket(&socket).unwrap();
        assert_eq!(remove_socket(&file).unwrap_err().to_string(), "something is there that is no socket");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
