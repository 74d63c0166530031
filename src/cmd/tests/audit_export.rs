//! Exports to files and to syslog servers, one of which speaks TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

use super::{audit, grow, grow_by, log, text};

fn rows(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_export_goes_on_where_it_ended() {
    let (dir, elsewhere) = (log(), tempfile::tempdir().unwrap());
    let [mark, to] = ["mark", "out.jsonl"].map(|name| elsewhere.path().join(name));
    let export = || audit(&["export", text(dir.path()), "--mark", text(&mark), "--to", text(&to)]);
    let (well, _, err) = export();
    assert!(well && err == "28 lines exported\n", "{err}");
    let found = rows(&to);
    assert_eq!(found.len(), 29);
    assert!(found.iter().zip(0..28).all(|(row, number)| row["seq"] == number));
    let note = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    assert_eq!((&found[28]["type"], &found[28]["note"]), (&"checkpoint".into(), &note.into()));
    let (well, _, err) = export();
    assert!(well && err.is_empty() && rows(&to).len() == 29, "nothing new: {err}");

    grow(dir.path());
    // A crash left half a line and did not move the mark.
    let mut file = fs::OpenOptions::new().append(true).open(&to).unwrap();
    file.write_all(b"{\"seq\":28,\"ti").unwrap();
    let (well, _, err) = export();
    assert!(well && err == "28 lines exported\n", "{err}");
    let found = rows(&to);
    assert_eq!((found.len(), &found[29]["seq"], &found[56]["seq"]), (58, &28.into(), &55.into()));

    // Lines that no checkpoint covers do not leave.
    grow(dir.path());
    let notes = fs::read_to_string(dir.path().join("checkpoints")).unwrap();
    let notes: Vec<_> = notes.lines().collect();
    let early = notes.chunks(5).rfind(|note| note[1].parse::<u64>().unwrap() < 84).unwrap();
    fs::write(dir.path().join("checkpoint"), early.join("\n") + "\n").unwrap();
    let signed: u64 = early[1].parse().unwrap();
    let (well, out, err) = audit(&["export", text(dir.path()), "--mark", text(&mark), "--to", "-"]);
    assert!(well && err == format!("{} lines exported\n", signed - 56), "{err}");
    assert_eq!(out.lines().count() as u64, signed - 56 + 1);
}

#[test]
fn what_does_not_continue_the_export_is_not_exported() {
    let (dir, other, elsewhere) = (log(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mark = elsewhere.path().join("mark");
    let export = |dir: &Path| audit(&["export", text(dir), "--mark", text(&mark), "--to", "-"]);
    assert!(export(dir.path()).0);
    grow_by(other.path(), 11);
    grow(other.path());
    let (well, out, err) = export(other.path());
    assert!(
        !well && out.is_empty() && err.starts_with("line 28 does not continue what was exported"),
        "{err}"
    );

    grow(dir.path());
    let mut segments: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
    segments.sort();
    let last = segments.last().unwrap();
    let whole = fs::read_to_string(last).unwrap();
    fs::write(last, whole.replacen("answered", "unknown", 1)).unwrap();
    let (well, out, err) = export(dir.path());
    assert!(!well && out.is_empty() && err.contains("the sum does not match"), "{err}");
    fs::write(last, whole.lines().take(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (well, out, err) = export(dir.path());
    assert!(
        !well && out.is_empty() && err.starts_with("the lines are not those that the checkpoint"),
        "{err}"
    );
    fs::write(last, whole).unwrap();
    for path in segments.iter().rev().skip(1) {
        fs::remove_file(path).unwrap();
    }
    let (well, out, err) = export(dir.path());
    assert!(
        !well && out.is_empty() && err.starts_with("lines 28 to ") && err.contains("use a new mark"),
        "{err}"
    );
    fs::write(&mark, "{}").unwrap();
    let (well, _, err) = export(dir.path());
    assert!(!well && err.starts_with("cannot use the mark "), "{err}");
}

/// The messages of a stream: octet counting of RFC 6587 §3.4.1.
fn messages(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let at = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..at]).unwrap().parse().unwrap();
        found.push(String::from_utf8(bytes[at + 1..=at + length].to_vec()).unwrap());
        bytes = &bytes[at + 1 + length..];
    }
    found
}

/// What the one who connects next sends.
fn serve<T: Send + 'static>(
    read: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, thread::JoinHandle<T>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || read(listener.accept().unwrap().0)))
}

fn to_the_end(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn check(messages: &[String]) {
    assert_eq!(messages.len(), 29);
    let first = "<110>1 2026-01-02T03:04:05.000000Z test.example/audit cordon - event - \u{feff}{\"seq\":0,";
    assert!(messages[0].starts_with(first), "{}", messages[0]);
    let denied =
        "<108>1 2026-01-02T03:04:05.000000Z test.example/audit cordon - intent - \u{feff}{\"seq\":25,";
    assert!(messages[25].starts_with(denied), "{}", messages[25]);
    assert!(messages[2].contains(" cordon - outcome - "), "{}", messages[2]);
    let (head, body) = messages[28].split_once('\u{feff}').unwrap();
    assert!(
        head.starts_with("<110>1 2") && head.ends_with("Z test.example/audit cordon - checkpoint - "),
        "{head}"
    );
    assert!(serde_json::from_str::<Value>(body).unwrap()["note"].as_str().unwrap().contains("\n28\n"));
}

#[test]
fn syslog_over_tcp_moves_the_mark_only_when_the_server_has_read_all() {
    let (dir, elsewhere) = (log(), tempfile::tempdir().unwrap());
    let mark = elsewhere.path().join("mark");
    let export = |port: u16| {
        let url = format!("tcp://127.0.0.1:{port}");
        audit(&["export", text(dir.path()), "--mark", text(&mark), "--syslog", &url])
    };
    // It takes a little and goes away, with bytes unread.
    let (port, server) = serve(|mut stream| stream.read_exact(&mut [0; 10]).unwrap());
    let (well, _, err) = export(port);
    server.join().unwrap();
    assert!(!well && err.starts_with("not delivered: ") && !mark.exists(), "{err}");
    let (port, server) = serve(to_the_end);
    let (well, _, err) = export(port);
    assert!(well && err == "28 lines exported\n" && mark.exists(), "{err}");
    check(&messages(&server.join().unwrap()));
    let (well, _, err) = export(port);
    assert!(well && err.is_empty(), "nobody is asked when there is nothing: {err}");
}

#[test]
fn syslog_over_tls_goes_only_to_a_server_whose_certificate_is_known() {
    let (dir, elsewhere) = (log(), tempfile::tempdir().unwrap());
    let [mark, ca, other] = ["mark", "ca.pem", "other.pem"].map(|name| elsewhere.path().join(name));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&ca, made.cert.pem()).unwrap();
    fs::write(&other, rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem())
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let tls = |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
    let export_to = |mark: &Path, port: u16, ca: &Path, more: &[&str]| {
        let url = format!("tls://localhost:{port}");
        let given = ["export", text(dir.path()), "--mark", text(mark), "--syslog", &url, "--ca", text(ca)];
        audit(&[&given, more].concat())
    };
    let export = |port: u16, ca: &Path| export_to(&mark, port, ca, &[]);
    let greet = tls;
    thread::scope(|scope| {
        let listener = TcpListener::bind(("localhost", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = scope.spawn(move || {
            let refused = greet(listener.accept().unwrap().0).read(&mut [0; 10]).unwrap_err().to_string();
            // All is read, and the connection ends without a word: as if somebody on the way had cut it.
            to_the_end(greet(listener.accept().unwrap().0));
            // So does one whose server is known for that.
            to_the_end(greet(listener.accept().unwrap().0));
            let mut stream = greet(listener.accept().unwrap().0);
            let bytes = to_the_end(&mut stream);
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            (refused, bytes)
        });
        let (well, _, err) = export(port, &other);
        assert!(!well && err.contains("invalid peer certificate") && !mark.exists(), "{err}");
        let (well, _, err) = export(port, &ca);
        assert!(!well && err.contains("did not close after the last message") && !mark.exists(), "{err}");
        assert!(err.ends_with("; if this server never says so in TLS, give --silent-close\n"), "{err}");
        let silent = elsewhere.path().join("silent");
        let (well, _, err) = export_to(&silent, port, &ca, &["--silent-close"]);
        assert!(well && err == "28 lines exported\n" && silent.exists(), "{err}");
        let (well, _, err) = export(port, &ca);
        assert!(well && err == "28 lines exported\n", "{err}");
        let (refused, bytes) = server.join().unwrap();
        assert!(refused.contains("alert"), "{refused}");
        check(&messages(&bytes));
    });
    for (url, ca, what) in [
        ("tls://localhost:6514", None, "--ca FILE"),
        ("tcp://localhost:514", Some(&ca), "--ca is for tls"),
        ("udp://localhost:514", None, "is no syslog server"),
        ("tcp://localhost", None, "is no syslog server"),
    ] {
        let mut line = vec!["export", text(dir.path()), "--mark", "unused", "--syslog", url];
        if let Some(ca) = ca {
            line.extend(["--ca", text(ca)]);
        }
        let (well, _, err) = audit(&line);
        assert!(!well && err.contains(what), "{url}: {err}");
    }
}
