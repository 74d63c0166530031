//! The few things the log does to files, behind a trait so that tests can make each of them fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// What the log needs of a file system.
pub(super) trait Files: Send {
    /// Makes a file that does not exist yet; durable, its name included, when this returns.
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Opens a file that exists, for appending.
    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// Puts a whole file in the place of another; durable when this returns.
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to a length it has at least; durable, its name included, when this returns.
    fn cut(&mut self, path: &Path, length: u64) -> io::Result<()>;
    /// Gives a file another name in its folder, in the place of what may have that name; durable when this returns.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; durable once its folder is settled.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    /// Makes durable what files a folder holds.
    fn settle(&mut self, dir: &Path) -> io::Result<()>;
    /// The same file system, for another thread.
    fn another(&self) -> Box<dyn Files>;
}

/// A file that only grows.
pub(super) trait Appending: Send {
    /// Writes all bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable. After an error nobody knows what is: the file must not be used again.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug)]
pub(super) struct Disk;

impl Files for Disk {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(LOG_MODE).open(path)?;
        file.sync_all()?;
        sync_parent(path)?;
        Ok(Box::new(file))
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        replace(path, bytes, LOG_MODE)
    }

    fn cut(&mut self, path: &Path, length: u64) -> io::Result<()> {
        cut(path, length)?;
        sync_parent(path)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_parent(to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn settle(&mut self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn another(&self) -> Box<dyn Files> {
        Box::new(Self)
    }
}

impl Appending for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Writes a file beside its place and renames it into it, both durable.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Makes a folder and its parents, closed to others.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path)?;
    sync_parent(path)
}

/// Cuts a file to a length, durable. Never makes it longer: that would put zeros where lines were.
pub(super) fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let found = file.metadata()?.len();
    if found < length {
        return Err(io::Error::other(format!("{} has {found} bytes, not {length}", path.display())));
    }
    file.set_len(length)?;
    file.sync_all()
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Readable by the owner and by a group for auditors.
pub(super) const LOG_MODE: u32 = 0o640;
/// Readable by the owner only.
pub(super) const KEY_MODE: u32 = 0o600;
