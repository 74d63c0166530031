//! Events that the gateway sends to consumers: to whom policy lets it, and to nobody else.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use cordon::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::{
    client::{self, Reply, SOAP, Token, User, within},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
    pull_points::{ask_at, path_of, pull, subscribed, unsubscribe},
};

/// Where the client is, and its consumer.
const HERE: &str = "127.0.0.2";
const NOTIFICATION: &str = "http://docs.oasis-open.org/wsn/b-2";

/// A consumer at an address of the network `consumers`: gives what it was sent, and answers with a status.
pub struct Consumer {
    pub address: SocketAddr,
    heard: mpsc::Receiver<String>,
}

impl Consumer {
    fn open(status: &'static str) -> Self {
        Self::open_at(HERE, status)
    }

    pub fn open_at(here: &str, status: &'static str) -> Self {
        let listener = TcpListener::bind((here, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, tell) = (stream.unwrap(), tell.clone());
                std::thread::spawn(move || serve(stream, status, &tell));
            }
        });
        Self { address, heard }
    }

    pub fn next(&self) -> String {
        self.heard.recv_timeout(Duration::from_secs(40)).expect("something is sent")
    }
}

/// Answers requests on one connection until whoever asks is gone.
fn serve(mut stream: TcpStream, status: &str, tell: &mpsc::Sender<String>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").filter(|(head, body)| {
            let length = head
                .lines()
                .find_map(|it| it.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            length.is_some_and(|length: usize| body.len() >= length)
        });
        if whole.is_some() {
            bytes.clear();
            if tell.send(text).is_err() {
                return;
            }
            let answer =
                format!("HTTP/1.1 {status}\r\nLocation: http://127.0.3.250:9/\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        let mut more = [0; 16_384];
        match stream.read(&mut more) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&more[..count]),
            _ => return,
        }
    }
}

fn house() -> House {
    let mut house = House::open();
    house.reconfigure(|text| {
        format!("{text}\n[[network]]\nname = \"consumers\"\nprefixes = [\"{HERE}/32\"]\n")
    });
    house.acquaint();
    house
}

fn subscribe(house: &House, camera: usize, user: User, consumer: &str) -> Reply {
    let body = client::envelope(&Token::new(user).header(), &subscription(consumer));
    let request = client::request("POST", "/onvif/events_service", &[SOAP], body.as_bytes());
    client::receive(client::connect_from(HERE, house.door(camera), &request))
}

/// Asks that events be sent to a consumer.
pub fn subscription(consumer: &str) -> String {
    let reference = format!(
        "<x:ConsumerReference><a:Address>{consumer}</a:Address></x:ConsumerReference>\
         <x:InitialTerminationTime>PT10M</x:InitialTerminationTime>"
    );
    within(NOTIFICATION, "Subscribe", &reference)
}

#[test]
fn events_are_sent_to_a_consumer_until_its_client_has_enough() {
    let house = house();
    for camera in [CAR_PARK, LOBBY] {
        let consumer = Consumer::open("202 Accepted");
        let reference = format!("http://{}/hook?camera={camera}", consumer.address);
        let made = subscribe(&house, camera, VIEWER, &reference);
        assert!(made.text().contains(":SubscribeResponse"), "{}", made.text());
        let recorded = house.record(&made);
        assert_eq!(recorded.intent["destinations"], json!([format!("consumer {}", consumer.address)]));
        for _ in 0..2 {
            let told = consumer.next();
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("POST /hook?camera={camera} HTTP/1.1")), "{head}");
            assert!(
                !head.to_ascii_lowercase().contains("authorization") && !body.contains("UsernameToken"),
                "{told}"
            );
            for part in [
                "wsa:Action>http://docs.oasis-open.org/wsn/bw-2/NotificationConsumer/Notify<",
                &format!("wsa:To>{}<", reference),
                "<wsnt:Notify><wsnt:NotificationMessage><wsnt:Topic",
                ">tns1:",
                "<tt:Message UtcTime=",
            ] {
                assert!(body.contains(part), "no {part}: {body}");
            }
        }
        let path = path_of(&made);
        let ended = ask_at(&house, camera, &path, VIEWER, &unsubscribe());
        assert_eq!(ended.status, 200, "{}", ended.text());
        let name = house.plans()[camera].name;
        let is_end = |it: &&Value| it["what"] == "subscription-ended" && it["camera"] == name;
        let records = house.wait_for(|records| records.iter().any(|it| is_end(&it)));
        let end = records.iter().find(is_end).unwrap();
        assert_eq!(end["detail"]["why"], "unsubscribed");
        assert!(end["detail"]["told"].as_u64() >= Some(2), "{end}");
    }
}

#[test]
fn nothing_is_sent_where_a_camera_or_the_gateway_may_be_or_where_no_network_is_named() {
    let house = house();
    let door = house.door(LOBBY);
    let denied = "denied";
    let table = [
        ("http://198.18.0.9/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        ("http://127.0.0.1:8080/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        ("http://vms.example/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        ("http://192.0.2.64/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        (format!("http://{door}/onvif/device_service"), denied, "Sender/ter:OperationProhibited"),
        ("http://[::]/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        // Named, but another machine than the one that subscribes.
        ("http://203.0.113.9/hook".to_owned(), denied, "Sender/ter:OperationProhibited"),
        (format!("https://{HERE}/hook"), "permitted", "Sender/ter:InvalidArgVal"),
        (format!("http://user@{HERE}/hook"), "permitted", "Sender/ter:InvalidArgVal"),
    ];
    for (consumer, decision, fault) in &table {
        for camera in [CAR_PARK, LOBBY] {
            let reply = subscribe(&house, camera, ADMIN, consumer);
            assert_eq!(reply.fault(), *fault, "{consumer}: {}", reply.text());
            let recorded = house.record(&reply);
            assert_eq!(recorded.intent["decision"], *decision, "{consumer}");
            if *decision == denied {
                let is_named = consumer.contains("203.0.113.9");
                let networks = (!is_named).then_some("appliance.consumers");
                let expected: Vec<_> = ["appliance.consumer-is-caller"].into_iter().chain(networks).collect();
                assert_eq!(recorded.policies(), expected, "{consumer}");
            }
        }
    }
}

#[test]
fn consumers_that_take_nothing_are_given_up_keep_nobody_waiting_and_send_nobody_elsewhere() {
    let house = house();
    let elsewhere = TcpListener::bind("127.0.3.250:9").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let consumer = Consumer::open("307 Temporary Redirect");
    // One takes connections and requests and says nothing, and nobody is at the other.
    let hanging = TcpListener::bind((HERE, 0)).unwrap();
    let nobody = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap();
    let asked = [consumer.address, hanging.local_addr().unwrap(), nobody];
    let made = asked.map(|it| subscribe(&house, LOBBY, VIEWER, &format!("http://{it}/hook")));
    for made in &made {
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let puller = subscribed(&house, LOBBY, OPERATOR);
    let clock = SystemClock::new();
    let (mut told, mut ended) = (0, Vec::new());
    while ended.len() < asked.len() {
        assert!(clock.monotonic() < Duration::from_secs(120), "never given up: {ended:?}");
        let pulled = ask_at(&house, LOBBY, &puller, OPERATOR, &pull("PT5S", "100"));
        assert_eq!(pulled.status, 200, "{}", pulled.text());
        told += pulled.text().matches("PropertyOperation=\"Changed\"").count();
        let of_viewer =
            |it: &&Value| it["what"] == "subscription-ended" && it["detail"]["client"] == VIEWER.0;
        ended = house.records().iter().filter(of_viewer).map(|it| it["detail"]["why"].to_string()).collect();
    }
    let took = clock.monotonic();
    for why in ["status 307", "did not answer in time", "no connection"] {
        assert_eq!(
            ended.iter().filter(|it| it.contains("did not take events") && it.contains(why)).count(),
            1,
            "{ended:?}"
        );
    }
    // Six tries of five seconds, with pauses of 31 s in all between them.
    assert!((Duration::from_secs(55)..Duration::from_secs(90)).contains(&took), "{took:?}");
    assert!(told >= 3, "whoever pulls has his events meanwhile: {told}");
    assert_eq!(consumer.heard.try_iter().count(), 6, "tries");
    let raised = |it: &&Value| it["what"] == "alarm-raised" && it["detail"]["id"] == "consumer-given-up";
    house.wait_for(|records| records.iter().any(|it| raised(&it)));
    assert!(elsewhere.accept().is_err(), "nobody came where it was sent to");
    let gone = ask_at(&house, LOBBY, &path_of(&made[0]), VIEWER, &pull("PT0S", "1"));
    assert!(gone.text().contains("wsrf-r:ResourceUnknownFault"), "{}", gone.text());
    drop(hanging);
}
