//! The virtual camera's services: what the camera was heard to offer, shown at addresses of the gateway.

use std::collections::HashMap;

use crate::{
    hatch::Endpoint,
    limits::CAMERA_PATH_BYTES_MAX,
    schema::{Document, Element, Tables, address::Uri},
};

/// The service every camera has, at a path ONVIF fixes (Core §5.1.1).
pub const DEVICE: &str = "device";

/// One service of a camera, as the camera said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Our name of the service: `media2`.
    pub service: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Where it is on the camera.
    pub endpoint: Endpoint,
    /// Its version, where the camera said one.
    pub version: Option<(u16, u16)>,
}

/// Which namespace is which service.
#[derive(Debug)]
pub struct ServiceNames {
    by_namespace: HashMap<Box<str>, Box<str>>,
}

impl ServiceNames {
    /// Reads them off the operations of the tables.
    pub fn new(tables: &Tables) -> Self {
        let mut by_namespace = HashMap::new();
        for (_, operation) in tables.operations() {
            let Some(input) = tables.node(operation.input) else { continue };
            let namespace = tables.namespace_of(input.name);
            // Device I/O and the event service borrow elements of other namespaces.
            if tables.prefix(namespace) == &*operation.prefix {
                by_namespace
                    .entry(Box::from(tables.namespace_uri(namespace)))
                    .or_insert_with(|| operation.service.clone());
            }
        }
        Self { by_namespace }
    }

    /// The service of a namespace.
    pub fn service(&self, namespace: &str) -> Option<&str> {
        self.by_namespace.get(namespace.trim()).map(|service| &**service)
    }

    /// The namespace of a service.
    pub fn namespace(&self, service: &str) -> Option<&str> {
        self.by_namespace.iter().find(|(_, it)| ***it == *service).map(|(namespace, _)| &**namespace)
    }

    /// The service that ONVIF's older capability list calls by this name (Core §8.1.2.4).
    pub fn category(&self, category: &str) -> Option<&str> {
        let service = category.to_ascii_lowercase();
        self.by_namespace.values().find(|it| ***it == *service).map(|it| &**it)
    }

    /// The path of a service at the gateway: `/onvif/media2_service`.
    pub fn path(service: &str) -> String {
        format!("/onvif/{service}_service")
    }

    /// The service at a path of the gateway.
    pub fn at_path(&self, path: &str) -> Option<&str> {
        let service = path.strip_prefix("/onvif/")?.strip_suffix("_service")?;
        self.by_namespace.values().find(|it| ***it == *service).map(|it| &**it)
    }
}

/// What a GetServices or GetCapabilities answer says, once for each service. Of every address only port, path and query are taken;
/// services we do not know, and addresses that are not HTTP, are left out. A camera that is reached over TLS
/// (`secure`) is asked over TLS wherever it says its services are; one that is not, has no use for HTTPS.
pub fn learn_services(names: &ServiceNames, answer: &Document, secure: bool) -> Vec<ServiceFacts> {
    let mut heard = all_services(names, answer, secure);
    // The device service answered at the enrolled port, so what it calls its own port is that one, however
    // the camera sees it behind a port mapping.
    let own = device_port(&heard);
    for it in &mut heard {
        if it.endpoint.port == own {
            it.endpoint.port = None;
        }
    }
    heard
}

/// What a camera calls the port at which its device service answers.
pub(super) fn own_port(names: &ServiceNames, answer: &Document, secure: bool) -> Option<u16> {
    device_port(&all_services(names, answer, secure))
}

fn device_port(heard: &[ServiceFacts]) -> Option<u16> {
    heard.iter().find(|it| &*it.service == DEVICE).and_then(|it| it.endpoint.port)
}

fn all_services(names: &ServiceNames, answer: &Document, secure: bool) -> Vec<ServiceFacts> {
    let root = answer.root();
    let mut heard = Vec::new();
    for element in root.children() {
        match element.local() {
            "Service" => take_up(&mut heard, heard_service(names, element, secure)),
            "Capabilities" => heard_capabilities(names, element, secure, &mut heard),
            _ => {}
        }
    }
    heard
}

/// Takes up the first that is said of a service: a camera may say it as often as an answer has room.
fn take_up(heard: &mut Vec<ServiceFacts>, fact: Option<ServiceFacts>) {
    heard.extend(fact.filter(|fact| heard.iter().all(|it| it.service != fact.service)));
}

fn heard_service(names: &ServiceNames, element: Element<'_>, secure: bool) -> Option<ServiceFacts> {
    let namespace = element.child("Namespace")?.text().trim();
    let number = |path| element.find(path).and_then(|it| it.text().trim().parse::<u16>().ok());
    Some(ServiceFacts {
        service: names.service(namespace)?.into(),
        namespace: namespace.into(),
        endpoint: http_endpoint(element.child("XAddr")?.text(), secure)?,
        version: number("Version/Major").zip(number("Version/Minor")),
    })
}

fn heard_capabilities(
    names: &ServiceNames,
    element: Element<'_>,
    secure: bool,
    heard: &mut Vec<ServiceFacts>,
) {
    for category in element.children() {
        if category.local() == "Extension" {
            heard_capabilities(names, category, secure, heard);
            continue;
        }
        let fact = || {
            let service = names.category(category.local())?;
            let endpoint = http_endpoint(category.child("XAddr")?.text(), secure)?;
            let namespace = names.namespace(service)?.into();
            Some(ServiceFacts { service: service.into(), namespace, endpoint, version: None })
        };
        take_up(heard, fact());
    }
}

/// Port, path and query of an HTTP address.
fn http_endpoint(text: &str, secure: bool) -> Option<Endpoint> {
    let uri = Uri::parse(text.trim())?;
    let port = http_port(&uri, secure)?;
    Some(Endpoint { port, ..endpoint(&uri)? })
}

/// The port an HTTP address is asked at: none for the enrolled one, nothing for an address that is not asked.
pub(super) fn http_port(uri: &Uri<'_>, secure: bool) -> Option<Option<u16>> {
    let is = |scheme| uri.scheme.eq_ignore_ascii_case(scheme);
    match secure {
        false if is("http") => Some(uri.port.or(Some(80))),
        true if is("https") => Some(uri.port.or(Some(443))),
        // What it offers in clear it offers over TLS too, as far as that goes: nothing is asked in clear.
        true if is("http") => Some(None),
        _ => None,
    }
}

/// Port, path and query of an address a camera named; none if they could not stand in a request line.
pub(super) fn endpoint(uri: &Uri<'_>) -> Option<Endpoint> {
    let path_and_query = uri.path_and_query();
    let plain = path_and_query.len() <= CAMERA_PATH_BYTES_MAX
        && path_and_query.starts_with('/')
        && path_and_query.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(Endpoint { port: uri.port, path_and_query })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_over_tls_is_asked_nothing_in_clear_and_another_nothing_over_tls() {
        for (text, plain, secure) in [
            ("http://192.0.2.1/x", Some(Some(80)), Some(None)),
            ("http://192.0.2.1:8000/x", Some(Some(8000)), Some(None)),
            ("https://192.0.2.1/x", None, Some(Some(443))),
            ("HTTPS://192.0.2.1:8443/x", None, Some(Some(8443))),
            ("rtsp://192.0.2.1/x", None, None),
        ] {
            let uri = Uri::parse(text).unwrap();
            assert_eq!((http_port(&uri, false), http_port(&uri, true)), (plain, secure), "{text}");
        }
    }
}
