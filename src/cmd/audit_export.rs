//! `cordon audit export`: carries the log to a file, a pipe or a syslog server.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::trust::trusting;
use crate::{
    audit::{Export, ExportError, Item, Sink},
    clock::Clock,
    limits::{AUDIT_EXPORT_ANSWER_BYTES_MAX, AUDIT_EXPORT_TIME_MAX},
};

/// Arguments of `cordon audit export`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("receiver").required(true))]
pub struct Arguments {
    /// The log's folder
    pub dir: PathBuf,
    /// Where it is kept how far the receiver has everything; made by the first export
    #[arg(long, value_name = "FILE")]
    pub mark: PathBuf,
    /// A file or named pipe to which JSON lines are appended; `-` for the output
    #[arg(long, value_name = "FILE", group = "receiver")]
    pub to: Option<PathBuf>,
    /// A syslog server, tcp://HOST:PORT or tls://HOST:PORT (RFC 5424, RFC 6587 octet counting, RFC 5425)
    #[arg(long, value_name = "URL", group = "receiver")]
    pub syslog: Option<String>,
    /// The certificates in PEM that a tls:// server's certificate must be issued by
    #[arg(long, value_name = "FILE", requires = "syslog")]
    pub ca: Option<PathBuf>,
    /// Takes it for read, too, if a tls:// server closes without saying so in TLS (rsyslog's GnuTLS driver does not)
    #[arg(long, requires = "ca")]
    pub silent_close: bool,
    /// The public key, or a file that holds it [default: DIR/public.key]
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Go on with what is signed later; while the receiver fails, try again
    #[arg(short, long)]
    pub follow: bool,
}

impl Arguments {
    /// Exports until there is nothing more, or for ever.
    pub(super) fn run(
        &self,
        clock: &dyn Clock,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let mut export = Export::open(&self.dir, self.public_key.as_deref(), &self.mark)?;
        let origin = export.origin().to_owned();
        let mut sink = self.sink(origin, clock, out).map_err(ExportError::Receiver)?;
        loop {
            let pause = match export.step(sink.as_mut()) {
                Ok(lines) => {
                    if lines > 0 {
                        // If this cannot be written there is nobody who would read it.
                        let _ = writeln!(err, "{lines} lines exported");
                    }
                    FOLLOW_PAUSE
                }
                Err(error @ ExportError::Receiver(_)) if self.follow => {
                    let _ = writeln!(err, "{error}; trying again");
                    RETRY_PAUSE
                }
                Err(error) => return Err(error),
            };
            if !self.follow {
                return Ok(());
            }
            thread::sleep(pause);
        }
    }

    fn sink<'a>(
        &self,
        host: String,
        clock: &'a dyn Clock,
        out: &'a mut dyn Write,
    ) -> io::Result<Box<dyn Sink + 'a>> {
        Ok(match (&self.to, &self.syslog) {
            (Some(path), _) if path.as_os_str() == "-" => Box::new(Output(out)),
            (Some(path), _) => Box::new(Lines::open(path)?),
            (None, url) => {
                let server = Server::parse(url.as_deref().unwrap_or_default(), self.ca.as_deref())?;
                Box::new(Syslog { server, host, clock, wire: None, silent_close: self.silent_close })
            }
        })
    }
}

/// JSON lines to the command's output.
struct Output<'a>(&'a mut dyn Write);

impl Sink for Output<'_> {
    fn put(&mut self, item: Item<'_>) -> io::Result<()> {
        self.0.write_all(&item.json())?;
        self.0.write_all(b"\n")
    }

    fn settle(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// JSON lines at the end of a file.
struct Lines(BufWriter<File>);

impl Lines {
    /// Opens the file for appending. Half a line, which a crash left, is cut off: it comes again.
    fn open(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if fs::metadata(path).is_ok_and(|it| it.is_file()) {
            let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(named)?;
            let whole = whole_lines(&mut file).map_err(named)?;
            file.set_len(whole).map_err(named)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(named)?;
        Ok(Self(BufWriter::new(file)))
    }
}

impl Sink for Lines {
    fn put(&mut self, item: Item<'_>) -> io::Result<()> {
        self.0.write_all(&item.json())?;
        self.0.write_all(b"\n")
    }

    fn settle(&mut self) -> io::Result<()> {
        self.0.flush()?;
        let file = self.0.get_ref();
        // A pipe has nothing to sync.
        if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
    }
}

/// The length of a file up to its last LF.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(1 << 16);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A syslog server. Syslog acknowledges nothing, so each batch has a connection of its own: what a server has
/// read to the end before it closes its side has arrived.
struct Syslog<'a> {
    server: Server,
    host: String,
    clock: &'a dyn Clock,
    wire: Option<Wire>,
    /// Whether the end of a TLS connection need not be the server's word.
    silent_close: bool,
}

impl Sink for Syslog<'_> {
    fn put(&mut self, item: Item<'_>) -> io::Result<()> {
        let message = item.syslog(&self.host, &format!("{:.6}", self.clock.now()));
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.server.connect()?,
        };
        let framed = [format!("{} ", message.len()).as_bytes(), &message].concat();
        // A connection that failed is not used again: the next batch begins from the mark.
        wire.write_all(&framed)?;
        self.wire = Some(wire);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        match self.wire.take() {
            Some(wire) => wire.finish(self.silent_close),
            None => Ok(()),
        }
    }
}

/// Where a syslog server listens.
struct Server {
    address: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Server {
    fn parse(url: &str, ca: Option<&Path>) -> io::Result<Self> {
        let wrong = || {
            io::Error::other(format!("`{url}` is no syslog server: give tcp://HOST:PORT or tls://HOST:PORT"))
        };
        let (scheme, address) = url.split_once("://").ok_or_else(wrong)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = match (scheme, ca) {
            ("tcp", None) => None,
            ("tcp", Some(_)) => return Err(io::Error::other("--ca is for tls:// servers")),
            ("tls", Some(ca)) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
                Some((Arc::new(trusting(ca)?), name))
            }
            ("tls", None) => {
                return Err(io::Error::other(
                    "give the certificates the server's is issued by with --ca FILE",
                ));
            }
            _ => return Err(wrong()),
        };
        Ok(Self { address: address.to_owned(), tls })
    }

    fn connect(&self) -> io::Result<Wire> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.address));
        let mut last = io::Error::other("the name has no address");
        for address in self.address.to_socket_addrs().map_err(named)? {
            match TcpStream::connect_timeout(&address, AUDIT_EXPORT_TIME_MAX) {
                Ok(stream) => return self.greet(stream).map_err(named),
                Err(error) => last = error,
            }
        }
        Err(named(last))
    }

    fn greet(&self, mut stream: TcpStream) -> io::Result<Wire> {
        stream.set_read_timeout(Some(AUDIT_EXPORT_TIME_MAX))?;
        stream.set_write_timeout(Some(AUDIT_EXPORT_TIME_MAX))?;
        let Some((config, name)) = &self.tls else { return Ok(Wire::Plain(stream)) };
        let mut session =
            ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Wire::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

/// One connection.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Says that this is all, and waits until the server closes its side too. Over TLS it must say so (RFC 5425 §4.4):
    /// that a connection ended may be the word of anybody on the way. Some servers never do, and whoever knows that of
    /// its own takes the end for it.
    fn finish(self, silent_close: bool) -> io::Result<()> {
        match self {
            Self::Plain(mut stream) => {
                stream.shutdown(Shutdown::Write)?;
                drained(&mut stream)
            }
            Self::Tls(mut stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)?;
                match drained(&mut stream) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && silent_close => Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        let what =
                            format!("{error}; if this server never says so in TLS, give --silent-close");
                        Err(io::Error::new(error.kind(), what))
                    }
                    other => other,
                }
            }
        }
    }
}

/// Reads until the server closes. What it says is not wanted.
fn drained(stream: &mut impl Read) -> io::Result<()> {
    match io::copy(&mut stream.take(AUDIT_EXPORT_ANSWER_BYTES_MAX), &mut io::sink()) {
        Ok(read) if read < AUDIT_EXPORT_ANSWER_BYTES_MAX => Ok(()),
        Ok(_) => Err(io::Error::other("the server talks on after the last message")),
        Err(error) => {
            let what = format!("the server did not close after the last message ({error})");
            Err(io::Error::new(error.kind(), what))
        }
    }
}

const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_secs(5);
