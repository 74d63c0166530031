//! The listener that all virtual cameras share for RTSP: finds out which camera a connection is for, and carries it
//! to that camera's thread.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    super::{
        doorway::Doorway,
        house::House,
        http::Missed,
        places::{Everywhere, Places, Room},
        tls::{Channel, Tls},
    },
    wire::Carried,
};
use crate::{
    facade::{Facade, is_token},
    ids::CameraId,
    inventory::Camera,
    limits::{
        ACCEPT_PAUSE, CONNECTIONS_OF_EXPECTED_MAX, HTTP_HEAD_TIME_MAX, MOUNT_QUEUE_REQUESTS_MAX,
        STREAM_CONNECTIONS_MAX, STREAM_CONNECTIONS_OF_STRANGERS_MAX, STREAM_CONNECTIONS_PER_SOURCE_MAX,
        STREAM_FIRST_REQUESTS_MAX, STREAM_STRANGERS_PER_CAMERA_MAX, STREAM_STRANGERS_PER_SOURCE_MAX,
        STREAM_VIEWERS_PER_CAMERA_MAX,
    },
    rtsp::{Decoder, Field, Method, Peer, Received, Request, Status, Writer},
};

/// A connection on its way to a camera: what it said so far is still to be answered.
pub struct Guest {
    pub(super) carried: Carried,
    pub(super) channel: Channel,
    pub(super) source: SocketAddr,
    pub(super) port: Port,
    pub(super) heard: BytesMut,
}

/// Where a connection came in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Port {
    /// The port for streams, at this address of the gateway's.
    Streams(IpAddr),
    /// The port of the web service, in a tunnel: nothing goes beside it.
    Web,
}

/// The way for connections to one camera.
pub fn guests() -> (mpsc::Sender<Guest>, mpsc::Receiver<Guest>) {
    mpsc::channel(MOUNT_QUEUE_REQUESTS_MAX)
}

/// Knows which camera a stream's address is of, and the way to it.
#[derive(Default)]
pub struct Front {
    ways: Mutex<HashMap<CameraId, mpsc::Sender<Guest>>>,
}

impl Front {
    /// Leads connections for a camera this way from now on.
    pub fn lead(&self, camera: CameraId, way: mpsc::Sender<Guest>) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).insert(camera, way);
    }

    /// Leads nobody there any more.
    pub fn leave(&self, camera: &CameraId) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).remove(camera);
    }

    fn way(&self, camera: &CameraId) -> Option<mpsc::Sender<Guest>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(camera).cloned()
    }
}

/// Serves the listener, over TLS where that is given, until it is told to stop. Where `spawn_local` may be called.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    house: Arc<House>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Places::default();
    let mut receptions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = receptions.join_next() => continue,
            _ = stop.changed() => return,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection for a stream could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Beyond the bound nobody is answered: whoever asks again may find a place.
        let Some(place) = places.take(source.ip(), room(house.expects(source.ip()))) else {
            house.missed(source, Missed::NoPlace);
            continue;
        };
        let (house, tls) = (Arc::clone(&house), tls.clone());
        receptions.spawn_local(async move {
            let _place = place;
            // Whoever does not say in time what is wanted is cut off.
            let _ = timeout(HTTP_HEAD_TIME_MAX, receive(stream, tls, source, &house)).await;
        });
    }
}

/// How much room there is for connections of a source; more for one that some client may log in from.
fn room(expected: bool) -> Room {
    static EVERYWHERE: Everywhere = Everywhere::new();
    let listener_max = if expected { STREAM_CONNECTIONS_MAX } else { STREAM_CONNECTIONS_OF_STRANGERS_MAX };
    Room {
        listener_max,
        source_max: STREAM_CONNECTIONS_PER_SOURCE_MAX,
        everywhere_max: STREAM_CONNECTIONS_PER_SOURCE_MAX,
        everywhere: &EVERYWHERE,
    }
}

/// Hands a connection on, once it has said which camera it is for.
async fn receive(
    mut stream: TcpStream,
    tls: Option<Tls>,
    source: SocketAddr,
    house: &House,
) -> std::io::Result<()> {
    let port = Port::Streams(stream.local_addr()?.ip());
    let (way, heard, carried, channel) = match tls {
        None => {
            let Some((way, heard)) = listen(&mut stream, house).await? else { return Ok(()) };
            (way, heard, Carried::Plain(stream.into_std()?), Channel::Plain)
        }
        Some(tls) => {
            let (mut stream, channel) = tls.greet(stream, HTTP_HEAD_TIME_MAX).await?;
            let Some((way, heard)) = listen(&mut stream, house).await? else { return Ok(()) };
            (way, heard, Carried::Tls(Box::new(stream)), channel)
        }
    };
    // A full way is the same as none: the connection ends.
    let _ = way.try_send(Guest { carried, channel, source, port, heard });
    Ok(())
}

/// Answers what is for no camera. The way for the first request that is for one, and what was heard from it on.
async fn listen(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    house: &House,
) -> std::io::Result<Option<(mpsc::Sender<Guest>, BytesMut)>> {
    let (mut decoder, mut buffer) = (Decoder::new(Peer::Client), BytesMut::with_capacity(4_096));
    // All since the last message ended: whoever it is for reads it from its beginning.
    let mut heard = BytesMut::new();
    let mut answered = 0;
    loop {
        let reply = match decoder.next(&mut buffer) {
            Ok(None) => {
                let before = buffer.len();
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(None);
                }
                heard.extend_from_slice(buffer.get(before..).unwrap_or_default());
                continue;
            }
            Ok(Some(Received::Request(request))) => {
                match token(&request.uri).and_then(|token| way(house, token)) {
                    Some(way) => return Ok(Some((way, heard))),
                    None => {
                        heard = buffer.clone();
                        answer(&request)
                    }
                }
            }
            Ok(Some(Received::Response(_) | Received::Frame { .. })) | Err(_) => {
                let refusal = Writer::response(Status::BadRequest, None).finish().unwrap_or_default();
                stream.write_all(&refusal).await?;
                return stream.flush().await.map(|()| None);
            }
        };
        answered += 1;
        if answered > STREAM_FIRST_REQUESTS_MAX {
            return Ok(None);
        }
        stream.write_all(&reply.unwrap_or_default()).await?;
        stream.flush().await?;
    }
}

impl House {
    /// The camera whose stream's tunnel begins at a path of the web service, or whose streams a WebSocket there
    /// carries, and the way to it. That a stream's name is genuine is found out there. `own` is the camera whose
    /// listener it is, unless several share it.
    pub fn tunnel_at(&self, path: &str, own: Option<&CameraId>) -> Option<(CameraId, mpsc::Sender<Guest>)> {
        let edition = self.edition.load();
        let inventory = edition.rules.inventory();
        let (camera, mount) = match (Facade::sockets_at(path), Facade::tunnel_at(path)) {
            (Some(mount), _) => {
                let here =
                    |it: &&Camera| own.map_or(!mount.is_empty(), |own| *own == it.id) && it.mount == mount;
                let named = own.and_then(|own| inventory.camera(own));
                let found =
                    named.filter(here).or_else(|| inventory.cameras().find(here).filter(|_| own.is_none()));
                (found?.id.clone(), mount)
            }
            (None, Some((mount, rest))) => (camera_of(self, rest.split(['/', '?']).next()?)?, mount),
            (None, None) => return None,
        };
        inventory.camera(&camera).filter(|it| it.mount == mount && own.is_none_or(|own| *own == it.id))?;
        let way = self.front.way(&camera)?;
        Some((camera, way))
    }
}

/// The way to the camera of a token. That the token is genuine is found out there.
fn way(house: &House, token: &str) -> Option<mpsc::Sender<Guest>> {
    house.front.way(&camera_of(house, token)?)
}

fn camera_of(house: &House, token: &str) -> Option<CameraId> {
    if !is_token(token) {
        return None;
    }
    house.locators.find(token).map(|it| it.camera)
}

/// Serves connections for one camera until the gateway stops. Where `spawn_local` may be called.
pub async fn receive_guests(
    doorway: Rc<Doorway>,
    mut guests: mpsc::Receiver<Guest>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut viewers, strangers) = (JoinSet::new(), Places::default());
    loop {
        let guest = tokio::select! {
            guest = guests.recv() => guest,
            Some(ended) = viewers.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a viewer's connection was given up");
                }
                continue;
            }
            _ = stop.changed() => None,
        };
        let Some(guest) = guest else { break };
        let Some(camera) = doorway.current() else { continue };
        let (house, source) = (&camera.house, guest.source);
        // Beyond the bound nobody is answered: whoever asks again may find a place. Whoever is let in has another
        // (`seats`), so that neither strangers nor a client keep others out.
        let room = unknown_viewers(house.expects(source.ip()));
        match strangers.take(source.ip(), room) {
            Some(place) => {
                viewers.spawn_local(super::viewer::serve(Rc::clone(&doorway), guest, place, stop.clone()));
            }
            None => house.missed(source, Missed::NoPlace),
        }
    }
    while viewers.join_next().await.is_some() {}
    if let Some(camera) = doorway.current() {
        // What is needed for a moment only takes no room before.
        Box::pin(camera.end_streams()).await;
    }
}

/// How much room there is at a camera for connections on which nobody was let in yet; more for a source that some client
/// may log in from.
fn unknown_viewers(expected: bool) -> Room {
    static EVERYWHERE: Everywhere = Everywhere::new();
    let (listener_max, source_max) = if expected {
        (STREAM_VIEWERS_PER_CAMERA_MAX, STREAM_STRANGERS_PER_CAMERA_MAX)
    } else {
        (STREAM_STRANGERS_PER_CAMERA_MAX, STREAM_STRANGERS_PER_SOURCE_MAX)
    };
    Room { listener_max, source_max, everywhere_max: CONNECTIONS_OF_EXPECTED_MAX, everywhere: &EVERYWHERE }
}

/// Of what is at no camera's address, nothing is known but which methods there are.
fn answer(request: &Request) -> Result<bytes::Bytes, crate::rtsp::WriteError> {
    match request.method {
        Method::Options => Writer::response(Status::Ok, Some(request.cseq))
            .field(Field::Public, super::methods::public())
            .finish(),
        _ => Writer::response(Status::NotFound, Some(request.cseq)).finish(),
    }
}

/// The token in a stream's address: the first part of its path, or what stands at the place of tunnels, of which some
/// clients keep the scheme.
pub(super) fn token(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let (_, path) = rest.split_at_checked(rest.find('/')?)?;
    let path = match (scheme, Facade::tunnel_at(path)) {
        ("rtsp" | "rtsps" | "http" | "https", Some((_, rest))) => rest,
        ("rtsp" | "rtsps", None) => path.strip_prefix('/')?,
        _ => return None,
    };
    path.split(['/', '?']).next().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found() {
        for (uri, expected) in [
            ("rtsp://192.0.2.1:554/abc", Some("abc")),
            ("rtsp://192.0.2.1/abc/stream=0", Some("abc")),
            ("rtsps://h/abc?x=/y", Some("abc")),
            ("rtsp://h/", None),
            ("rtsp://h", None),
            ("*", None),
            ("/abc", None),
            ("http://h/abc", None),
            ("http://h:80/onvif/stream/abc", Some("abc")),
            ("rtsp://h/gate/onvif/stream/abc/stream=0", Some("abc")),
            ("ftp://h/onvif/stream/abc", None),
            ("rtsp://h/onvif/stream/", None),
        ] {
            assert_eq!(token(uri), expected, "{uri}");
        }
    }
}
