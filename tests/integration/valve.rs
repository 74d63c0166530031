//! A relay before a camera that can hold its answers back, so that a test decides when a camera answers.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

pub struct Valve {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    held: usize,
    /// Answers that may pass though it is closed.
    permits: usize,
}

impl Valve {
    /// Relays from a port of its own to a camera, until the process ends.
    pub fn open(at: Ipv4Addr, camera: SocketAddr) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for gateway in listener.incoming() {
                // The camera goes when the test ends.
                let (Ok(gateway), Ok(camera)) = (gateway, TcpStream::connect(camera)) else { return };
                let (asks, answers) = (gateway.try_clone().unwrap(), camera.try_clone().unwrap());
                thread::spawn(move || relay(asks, camera, &|| {}));
                let shared = Arc::clone(&accepting);
                thread::spawn(move || relay(answers, gateway, &|| shared.pass()));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on holds answers back.
    pub fn close(&self) {
        self.shared.state.lock().unwrap().closed = true;
    }

    /// Waits until an answer is held back.
    pub fn wait_held(&self) {
        let state = self.shared.state.lock().unwrap();
        let patience = Duration::from_secs(45);
        let waited = self.shared.changed.wait_timeout_while(state, patience, |it| it.held == 0).unwrap();
        assert!(!waited.1.timed_out(), "the camera was never asked");
    }

    /// Whether an answer is held back.
    pub fn holds(&self) -> bool {
        self.shared.state.lock().unwrap().held > 0
    }

    /// Lets one answer through that is held back.
    pub fn step(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.permits += 1;
        self.shared.changed.notify_all();
        drop(self.shared.changed.wait_while(state, |it| it.permits > 0).unwrap());
    }

    /// Lets answers through again.
    pub fn release(&self) {
        self.shared.state.lock().unwrap().closed = false;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Returns when the valve is open.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.held += 1;
        self.changed.notify_all();
        state = self.changed.wait_while(state, |it| it.closed && it.permits == 0).unwrap();
        state.held -= 1;
        state.permits = state.permits.saturating_sub(1);
        self.changed.notify_all();
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, pass: &dyn Fn()) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        pass();
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Either end may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
