//! Clients that speak SOAP 1.1, and requests whose actions name something else than they ask.

use crate::{
    client::{self, Reply, SOAP, Token, envelope, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER},
};

const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const TARGET: &str = "/onvif/device_service";
const TEXT: &str = "Content-Type: text/xml; charset=utf-8";

/// Posts an envelope of SOAP 1.1.
fn post11(house: &House, camera: usize, headers: &[&str], body: &str) -> Reply {
    let headers = [&[TEXT], headers].concat();
    let body = body.replace(SOAP12, SOAP11);
    client::send(house.door(camera), &client::request("POST", TARGET, &headers, body.as_bytes()))
}

fn is_soap11(reply: &Reply, name: &str) {
    assert_eq!(reply.header_values("content-type"), ["text/xml; charset=utf-8"], "{name}");
    assert!(reply.text().contains(SOAP11) && !reply.text().contains(SOAP12), "{name}: {}", reply.text());
}

#[test]
fn who_asks_in_soap_1_1_is_answered_in_soap_1_1() {
    let house = House::open();
    let action = "SOAPAction: \"http://www.onvif.org/ver10/device/wsdl/GetHostname\"";
    for (name, action) in
        [("its action", action), ("none", "SOAPAction: \"\""), ("nobody's", "SOAPAction: x")]
    {
        let message = envelope(&Token::new(ADMIN).header(), &tds("GetHostname"));
        let reply = post11(&house, LOBBY, &[action], &message);
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        is_soap11(&reply, name);
        assert!(reply.text().contains("GetHostnameResponse>"), "{name}: {}", reply.text());
        let recorded = house.record(&reply);
        assert_eq!(recorded.intent["operation"], "tds:GetHostname", "{name}");
        assert_eq!(recorded.intent["who"]["kind"], "client", "{name}: {}", recorded.intent);
    }
    // The next in SOAP 1.2 is not given what was made for 1.1.
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetHostname"));
    assert!(reply.status == 200 && reply.text().contains(SOAP12), "{}", reply.text());
    assert!(!reply.text().contains(SOAP11), "{}", reply.text());
}

#[test]
fn faults_for_soap_1_1_are_its_own() {
    let house = House::open();
    let wrong = ("vms-admin", "not-the-password");
    let element = tds_with("SetHostname", "<x:Name>gate</x:Name><x:Owner>me</x:Owner>");
    let lock = "<x:Lock xmlns:x=\"urn:x\" s:mustUnderstand=\"1\"/>";
    let token = |user| Token::new(user).header();
    let cases = [
        ("a wrong password", envelope(&token(wrong), &tds("GetNTP")), 500, "Client", "NotAuthorized"),
        ("no password", envelope("", &tds("GetNTP")), 401, "Client", "NotAuthorized"),
        ("a role", envelope(&token(VIEWER), &tds("SystemReboot")), 500, "Client", "NotAuthorized"),
        ("an element", envelope(&token(ADMIN), &element), 500, "Client", "Tag"),
        (
            "a header block",
            envelope(&format!("{lock}{}", token(ADMIN)), &tds("GetNTP")),
            500,
            "MustUnderstand",
            "",
        ),
    ];
    for (name, message, status, code, subcode) in cases {
        let reply = post11(&house, CAR_PARK, &[], &message);
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        is_soap11(&reply, name);
        let text = reply.text();
        assert!(text.contains(&format!("<faultcode>env:{code}</faultcode>")), "{name}: {text}");
        assert_eq!(
            text.contains(&format!("<detail><ter:{subcode}/></detail>")),
            !subcode.is_empty(),
            "{name}: {text}"
        );
        let intent = house.record(&reply).intent;
        assert_eq!(intent["decision"], "denied", "{name}");
        let codes = if subcode.is_empty() { code.to_owned() } else { format!("Sender/ter:{subcode}") };
        assert_eq!(intent["fault"], codes, "{name}: on record every fault is spelt the same way: {intent}");
    }
    assert_eq!(house.heard(), []);
}

#[test]
fn an_action_of_another_operation_is_refused_wherever_it_stands() {
    let house = House::open();
    let other = "http://www.onvif.org/ver10/device/wsdl/GetHostname";
    let own = "http://www.onvif.org/ver10/device/wsdl/SetHostname";
    let body = tds_with("SetHostname", "<x:Name>gate</x:Name>");
    let plain = || envelope(&Token::new(ADMIN).header(), &body);
    let addressed = |action: &str| {
        envelope(&format!("<a:Action>{action}</a:Action>{}", Token::new(ADMIN).header()), &body)
    };
    let typed = |action: &str| format!("{SOAP}; action=\"{action}\"");
    let named = |action: &str| format!("SOAPAction: \"{action}\"");
    let cases = [
        ("wsa:Action", vec![SOAP.to_owned()], addressed(other)),
        ("content type", vec![typed(other)], plain()),
        ("SOAPAction", vec![SOAP.to_owned(), named(other)], plain()),
        ("SOAPAction", vec![SOAP.to_owned(), named(own), named(other)], plain()),
        ("SOAPAction", vec![TEXT.to_owned(), named(other)], plain().replace(SOAP12, SOAP11)),
    ];
    for (place, headers, message) in cases {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let request = client::request("POST", TARGET, &headers, message.as_bytes());
        let reply = client::send(house.door(LOBBY), &request);
        assert!(
            matches!(reply.status, 400 | 500) && reply.text().contains("InvalidArgVal"),
            "{}",
            reply.text()
        );
        let intent = house.record(&reply).intent;
        assert_eq!(
            (&intent["operation"], &intent["decision"]),
            (&"tds:SetHostname".into(), &"denied".into())
        );
        assert_eq!(intent["fault"], "Sender/ter:InvalidArgVal", "{intent}");
        assert!(intent["note"].as_str().unwrap().contains(place), "{place}: {intent}");
        // The login was good and is used up.
        assert_eq!((&intent["who"]["kind"], &intent["who"]["name"]), (&"client".into(), &ADMIN.0.into()));
        assert!(intent["nonce"].is_string(), "{place}: {intent}");
    }
    assert_eq!(house.heard(), [], "none of this is any camera's business");
    // All three say what the body says.
    let (typed, named) = (typed(own), named(own));
    let request = client::request("POST", TARGET, &[&typed, &named], addressed(own).as_bytes());
    let reply = client::send(house.door(LOBBY), &request);
    assert_eq!(reply.status, 200, "{}", reply.text());
}
