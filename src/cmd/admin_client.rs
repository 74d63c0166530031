//! Questions of subcommands to the gateway that runs, at its admin listener.

use std::io;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    config::AdminListen,
    limits::{ADMIN_ANSWER_BYTES_MAX, ADMIN_ANSWER_TIME_MAX},
};

/// Status and body of what the admin listener answers to a GET; an error if nothing listens there.
pub(super) fn get(at: &AdminListen, path: &str) -> io::Result<(u16, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let asked = async {
            match at {
                AdminListen::Tcp(address) => ask(TcpStream::connect(address).await?, path).await,
                AdminListen::Unix(socket) => ask(UnixStream::connect(socket).await?, path).await,
            }
        };
        timeout(ADMIN_ANSWER_TIME_MAX, asked).await.map_err(io::Error::from)?
    })
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> io::Result<(u16, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path).header(header::HOST, "localhost").header(header::CONNECTION, "close");
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answered = async {
        let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = Limited::new(body, ADMIN_ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?;
        Ok((head.status.as_u16(), body.to_bytes()))
    };
    tokio::pin!(answered, connection);
    tokio::select! {
        answer = &mut answered => answer,
        // The connection may end before its last answer was taken up.
        _ = &mut connection => answered.await,
    }
}
