//! The engine: what a camera holds, and how a script section becomes an answer.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    envelope::Style,
    events::Chronicle,
    message::{Element, Request, escaped},
    script::{Item, Script, Source, Step},
};
use crate::limits::{SIM_EVENTS_MAX, SIM_ITEMS_MAX, SIM_PULL_TIME_MAX};

/// What a camera holds.
#[derive(Debug)]
pub struct Device {
    pub(super) script: Script,
    style: Style,
    variables: BTreeMap<String, String>,
    collections: BTreeMap<String, Vec<Item>>,
    /// The camera's clock minus the true time.
    skew: SignedDuration,
    /// The time it states minus its clock.
    stated: SignedDuration,
    made: u32,
    pub(super) chronicle: Chronicle,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The envelope.
    pub envelope: String,
    /// How long the camera takes for it.
    pub wait: Duration,
}

/// What a camera refuses with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whether the sender is to blame (`env:Sender`), or else the camera (`env:Receiver`).
    pub sender: bool,
    /// Subcodes, outermost first.
    pub subcodes: Vec<String>,
    /// The reason, in words.
    pub reason: String,
}

/// Namespaces of the operations a camera can be asked for, with the prefix scripts write.
pub(super) const SERVICES: [(&str, &str); 14] = [
    ("http://www.onvif.org/ver10/device/wsdl", "tds"),
    ("http://www.onvif.org/ver10/media/wsdl", "trt"),
    ("http://www.onvif.org/ver20/media/wsdl", "tr2"),
    ("http://www.onvif.org/ver20/ptz/wsdl", "tptz"),
    ("http://www.onvif.org/ver10/events/wsdl", "tev"),
    ("http://docs.oasis-open.org/wsn/b-2", "wsnt"),
    ("http://www.onvif.org/ver20/imaging/wsdl", "timg"),
    ("http://www.onvif.org/ver10/deviceIO/wsdl", "tmd"),
    ("http://www.onvif.org/ver20/analytics/wsdl", "tan"),
    ("http://www.onvif.org/ver10/recording/wsdl", "trc"),
    ("http://www.onvif.org/ver10/search/wsdl", "tse"),
    ("http://www.onvif.org/ver10/replay/wsdl", "trp"),
    ("http://www.onvif.org/ver10/uplink/wsdl", "tup"),
    ("http://www.onvif.org/ver10/actionengine/wsdl", "tae"),
];
/// What lives for a minute unless it is used.
const FLEETING: [&str; 2] = ["subscriptions", "searches"];

/// Operations that need no login (ONVIF Core §5.9.4.3), as far as simulated cameras know them.
const PRE_AUTH: [&str; 8] = [
    "tds:GetSystemDateAndTime",
    "tds:GetServices",
    "tds:GetCapabilities",
    "tds:GetServiceCapabilities",
    "tds:GetHostname",
    "tds:GetWsdlUrl",
    "tds:GetEndpointReference",
    "tmd:GetRelayOutputOptions",
];

impl Refused {
    /// `env:Sender` with `ter:NotAuthorized`.
    pub fn not_authorized() -> Self {
        Self::new(true, &["ter:NotAuthorized"], "Sender not authorized")
    }

    /// `env:Receiver` with `ter:ActionNotSupported`.
    pub fn not_supported() -> Self {
        Self::new(false, &["ter:ActionNotSupported"], "Optional Action Not Implemented")
    }

    /// `env:Sender` with `ter:WellFormed`.
    pub fn not_well_formed() -> Self {
        Self::new(true, &["ter:WellFormed"], "Well-formed Error")
    }

    fn new(sender: bool, subcodes: &[&str], reason: &str) -> Self {
        let subcodes = subcodes.iter().map(|code| (*code).to_owned()).collect();
        Self { sender, subcodes, reason: reason.to_owned() }
    }
}

/// How the operation of a request is called: `tds:SetNTP`, or `{namespace}Local` outside the known services.
pub fn operation_name(body: &Element) -> String {
    match SERVICES.iter().find(|(namespace, _)| *namespace == body.namespace) {
        Some((_, prefix)) => format!("{prefix}:{}", body.local),
        None => format!("{{{}}}{}", body.namespace, body.local),
    }
}

/// Whether an operation needs no login.
pub fn is_pre_auth(operation: &str) -> bool {
    // The capabilities of every service are PRE_AUTH.
    PRE_AUTH.contains(&operation) || operation.ends_with(":GetServiceCapabilities")
}

impl Device {
    /// A camera fresh from its script, with variables of its own where the script does not set them.
    pub fn new(script: Script, own: Vec<(&str, String)>, skew: SignedDuration) -> Self {
        let collections = script.collections.clone();
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let given: BTreeMap<String, String> = own.chain(script.variables.clone()).collect();
        let variables: BTreeMap<String, String> =
            given.keys().map(|name| (name.clone(), filled_in(&given, name))).collect();
        let style = Style::new(&variables);
        Self {
            script,
            style,
            variables,
            collections,
            skew,
            stated: SignedDuration::ZERO,
            made: 0,
            chronicle: Chronicle::default(),
        }
    }

    /// The camera's clock, given the true time.
    pub fn time(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.skew).unwrap_or(now)
    }

    /// Sets its clock: the camera's minus the true time.
    pub fn set_skew(&mut self, skew: SignedDuration) {
        self.skew = skew;
    }

    /// Makes it state another time than its clock's.
    pub fn state_time_ahead(&mut self, stated: SignedDuration) {
        self.stated = stated;
    }

    /// Sets a variable of its script.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
        self.style = Style::new(&self.variables);
    }

    /// A variable; empty if there is none.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// The operations this camera answers, sorted.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.script.operations()
    }

    /// Answers a request that may be answered. `now` is the true time, `path` the path of the HTTP request.
    pub fn answer(&mut self, request: &Request, path: &str, now: Timestamp) -> Answer {
        let operation = operation_name(&request.body);
        match self.perform(&operation, request, path, now) {
            Ok(answer) => answer,
            Err(refused) => self.refuse(&refused, &self.style.echo(request.header("Security"))),
        }
    }

    /// A fault, below these header blocks.
    pub fn refuse(&self, refused: &Refused, header: &str) -> Answer {
        let codes = refused.subcodes.iter().rev().fold(String::new(), |inner, code| {
            format!("<{{env}}:Subcode><{{env}}:Value>{code}</{{env}}:Value>{inner}</{{env}}:Subcode>")
        });
        let (code, status) = if refused.sender { ("Sender", 400) } else { ("Receiver", 500) };
        let reason = escaped(&refused.reason);
        let body = format!(
            "<{{env}}:Fault><{{env}}:Code><{{env}}:Value>{{env}}:{code}</{{env}}:Value>{codes}</{{env}}:Code>\
             <{{env}}:Reason><{{env}}:Text xml:lang=\"en\">{reason}</{{env}}:Text></{{env}}:Reason></{{env}}:Fault>"
        );
        let body = body.replace("{env}", &self.style.env);
        Answer { status, envelope: self.style.envelope(header, &body), wait: Duration::ZERO }
    }

    /// What an operation that the camera lacks is answered with.
    fn unsupported(&self, name: &str, header: &str) -> Answer {
        match self.variable("unsupported") {
            "empty" => {
                Answer { status: 500, envelope: self.style.envelope(header, ""), wait: Duration::ZERO }
            }
            "method" => {
                let reason =
                    format!("Method '{name}' not implemented: method name or namespace not recognized");
                self.refuse(&Refused::new(true, &[], &reason), header)
            }
            _ => self.refuse(&Refused::not_supported(), header),
        }
    }

    /// The fault for a header block that is not understood and has to be (SOAP 1.2 part 1 §5.4.8).
    pub fn not_understood(&self) -> String {
        let env = self.variable("env");
        let body = format!(
            "<{env}:Fault><{env}:Code><{env}:Value>{env}:MustUnderstand</{env}:Value></{env}:Code>\
             <{env}:Reason><{env}:Text xml:lang=\"en\">The data in element 'Security' must be understood but \
             cannot be handled</{env}:Text></{env}:Reason></{env}:Fault>"
        );
        self.envelope("", &body)
    }

    /// An envelope in the dialect's style.
    pub fn envelope(&self, header: &str, body: &str) -> String {
        self.style.envelope(header, body)
    }

    fn perform(
        &mut self,
        name: &str,
        request: &Request,
        path: &str,
        now: Timestamp,
    ) -> Result<Answer, Refused> {
        let echo = self.style.echo(request.header("Security"));
        let is_left_out = name == "tev:CreatePullPointSubscription" && self.variable("pull.points") == "none";
        let Some(section) = self.script.operation(name).cloned().filter(|_| !is_left_out) else {
            return Ok(self.unsupported(name, &echo));
        };
        self.tell_time(now);
        self.forget_ended(now);
        let mut scene = Scene {
            request,
            body: &request.body,
            path,
            now,
            picked: HashMap::new(),
            last: None,
            wait: Duration::ZERO,
            header: echo,
        };
        self.take_all(&section.steps, &mut scene)?;
        let mut content = String::new();
        let item = scene.last.as_ref().and_then(|list| scene.picked.get(list));
        self.render(&section.parts, item, &scene.picked, &mut content);
        let body = format!("<{name}Response>{content}</{name}Response>");
        Ok(Answer { status: 200, envelope: self.style.envelope(&scene.header, &body), wait: scene.wait })
    }

    /// Sets the variables that say what time the camera thinks it is.
    fn tell_time(&mut self, now: Timestamp) {
        let here = self.time(now);
        let here = here.saturating_add(self.stated).unwrap_or(here);
        let civil = here.to_zoned(TimeZone::UTC).datetime();
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let parts = [
            ("utc", second(here)),
            ("utc.year", civil.year().to_string()),
            ("utc.month", civil.month().to_string()),
            ("utc.day", civil.day().to_string()),
            ("utc.hour", civil.hour().to_string()),
            ("utc.minute", civil.minute().to_string()),
            ("utc.second", civil.second().to_string()),
        ];
        self.variables.extend(parts.map(|(name, value)| (name.to_owned(), value)));
    }

    fn take_all(&mut self, steps: &[Step], scene: &mut Scene<'_>) -> Result<(), Refused> {
        steps.iter().try_for_each(|step| self.take(step, scene))
    }

    fn take(&mut self, step: &Step, scene: &mut Scene<'_>) -> Result<(), Refused> {
        let body = scene.body;
        match step {
            Step::Pick { collection, path, optional, reason } => {
                let Some(token) = body.value(path) else {
                    return if *optional { Ok(()) } else { Err(missing(path)) };
                };
                let found =
                    self.list(collection).iter().find(|item| item.get("token").is_some_and(|t| t == token));
                let unknown =
                    || Refused::new(true, &["ter:InvalidArgVal", &format!("ter:{reason}")], "No such token");
                scene.pick(collection, found.ok_or_else(unknown)?.clone());
            }
            Step::Make { collection, fields } => self.make(collection, fields, scene)?,
            Step::Write { collection, fields } => {
                let changes = values(fields, body);
                self.change(collection, scene, |item| item.extend(changes));
            }
            Step::Add { collection, field, path } => {
                let number = |text: Option<&str>| text.and_then(|it| it.parse::<f32>().ok()).unwrap_or(0.0);
                let more = number(body.value(path));
                self.change(collection, scene, |item| {
                    let sum = (number(item.get(field).map(String::as_str)) + more).clamp(-1.0, 1.0);
                    item.insert(field.clone(), sum.to_string());
                });
            }
            Step::Orphan { collection, owner } => {
                let gone = scene.picked.get(owner).and_then(|item| item.get("token")).cloned();
                self.list_mut(collection).retain(|item| item.get(owner) != gone.as_ref());
            }
            Step::Each { path, steps } => {
                for element in body.all(path) {
                    scene.body = element;
                    self.take_all(steps, scene)?;
                }
                scene.body = body;
            }
            Step::Drop { collection } => self.drop_picked(collection, scene)?,
            Step::Set { variable, source, optional } => {
                if let Some(value) = value(source, body) {
                    self.variables.insert(variable.clone(), value);
                } else if let (Source::Path(path), false) = (source, optional) {
                    return Err(missing(path));
                }
            }
            Step::Replace { collection, path } => {
                self.list_mut(collection).clear();
                self.append(collection, body.all(path))?;
            }
            Step::Append { collection, path } => self.append(collection, body.all(path))?,
            Step::Remove { collection, path } => {
                let gone: Vec<&str> = body.all(path).iter().map(|element| element.text.as_str()).collect();
                let stays =
                    |item: &Item| item.get("value").is_none_or(|value| !gone.contains(&value.as_str()));
                self.list_mut(collection).retain(stays);
            }
            Step::Attach | Step::Detach => self.attach(scene, *step == Step::Attach),
            Step::Clock => self.set_clock(scene)?,
            Step::Subscription => self.subscription(scene)?,
            Step::Lease { path } => self.take_lease(path.as_deref(), scene),
            Step::Pull => self.pull(scene),
            Step::Action(uri) => scene.header += &addressing(uri, scene.request),
        }
        Ok(())
    }

    fn drop_picked(&mut self, collection: &str, scene: &Scene<'_>) -> Result<(), Refused> {
        let picked = scene.picked.get(collection).cloned().unwrap_or_default();
        if picked.get("fixed").is_some_and(|fixed| fixed == "true") {
            return Err(Refused::new(true, &["ter:Action", "ter:DeletionOfFixedProfile"], "Fixed"));
        }
        self.list_mut(collection).retain(|item| item.get("token") != picked.get("token"));
        Ok(())
    }

    fn make(
        &mut self,
        list: &str,
        fields: &[(String, Source)],
        scene: &mut Scene<'_>,
    ) -> Result<(), Refused> {
        let mut item: Item = values(fields, scene.body).into_iter().collect();
        if FLEETING.contains(&list) {
            let until = scene.now.saturating_add(SignedDuration::from_secs(60)).unwrap_or(scene.now);
            item.insert("until".to_owned(), until.to_string());
        }
        self.made = self.made.wrapping_add(1);
        let fresh = format!("{list}_{}", self.made);
        let token = item.entry("token".to_owned()).or_insert(fresh).clone();
        let most = self.variable(&format!("{list}.max")).parse().unwrap_or(SIM_ITEMS_MAX);
        let present = self.list_mut(list);
        let full = present.len() >= most;
        match present.iter_mut().find(|old| old.get("token") == Some(&token)) {
            Some(old) => old.extend(item.clone()),
            None if full => {
                return Err(Refused::new(false, &["ter:Action", "ter:MaxNumberReached"], "Too many"));
            }
            None => present.push(item.clone()),
        }
        scene.pick(list, item);
        Ok(())
    }

    fn change(&mut self, collection: &str, scene: &mut Scene<'_>, edit: impl FnOnce(&mut Item)) {
        let token = scene.picked.get(collection).and_then(|item| item.get("token")).cloned();
        let found = self.list_mut(collection).iter_mut().find(|item| item.get("token") == token.as_ref());
        if let Some(item) = found {
            edit(item);
            let changed = item.clone();
            scene.pick(collection, changed);
        }
    }

    fn append(&mut self, collection: &str, texts: Vec<&Element>) -> Result<(), Refused> {
        let list = self.list_mut(collection);
        if list.len().saturating_add(texts.len()) > SIM_ITEMS_MAX {
            return Err(Refused::new(false, &["ter:Action", "ter:TooManyScopes"], "Too many"));
        }
        list.extend(texts.into_iter().map(kept));
        Ok(())
    }

    /// Media2 §5.2: `Configuration/Type` and `Token`.
    fn attach(&mut self, scene: &mut Scene<'_>, join: bool) {
        let pairs: Vec<(String, String)> = scene
            .request
            .body
            .all("Configuration")
            .into_iter()
            .filter_map(|configuration| {
                let list = match configuration.value("Type")? {
                    "VideoSource" => "vsc",
                    "VideoEncoder" => "venc",
                    "AudioSource" => "asc",
                    "AudioEncoder" => "aenc",
                    "PTZ" => "ptzc",
                    "Metadata" => "metadata",
                    _ => return None,
                };
                let token = if join { configuration.value("Token").unwrap_or_default() } else { "" };
                Some((list.to_owned(), token.to_owned()))
            })
            .collect();
        self.change("profiles", scene, |profile| profile.extend(pairs));
    }

    fn set_clock(&mut self, scene: &Scene<'_>) -> Result<(), Refused> {
        let Some(given) = scene.request.body.find("UTCDateTime") else { return Ok(()) };
        let wrong = || Refused::new(true, &["ter:InvalidArgVal", "ter:InvalidDateTime"], "No such time");
        let number =
            |path: &str| given.value(path).and_then(|text| text.parse::<i16>().ok()).ok_or_else(wrong);
        let small = |path: &str| number(path).and_then(|number| i8::try_from(number).map_err(|_| wrong()));
        let (year, month, day) = (number("Date/Year")?, small("Date/Month")?, small("Date/Day")?);
        let (hour, minute, second) = (small("Time/Hour")?, small("Time/Minute")?, small("Time/Second")?);
        let civil = DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| wrong())?;
        let set = TimeZone::UTC.to_timestamp(civil).map_err(|_| wrong())?;
        self.skew = set.duration_since(scene.now);
        Ok(())
    }

    /// A subscription is named by the path it is asked at, by where the message says it goes, or by a header block that
    /// its reference told to send; where references name none, it is the first.
    fn subscription(&mut self, scene: &mut Scene<'_>) -> Result<(), Refused> {
        let form = self.variable("reference.form");
        let nameless = !form.is_empty() && !form.contains("%token%");
        let named = |item: &&Item| {
            nameless
                || item.get("token").is_some_and(|token| {
                    scene.path.ends_with(token.as_str())
                        || scene.request.headers.iter().any(|block| block.text.ends_with(token.as_str()))
                })
        };
        let found = self.list("subscriptions").iter().find(named).cloned();
        let gone = || Refused::new(true, &["ter:InvalidArgVal"], "No such subscription");
        scene.pick("subscriptions", found.ok_or_else(gone)?);
        Ok(())
    }

    /// Sets how long the subscription lasts from now, by what the request says at a path or as long as before.
    fn take_lease(&mut self, path: Option<&str>, scene: &mut Scene<'_>) {
        let asked = path.and_then(|it| scene.body.value(it)).map(str::to_owned);
        let known = scene.picked.get("subscriptions").and_then(|it| it.get("lease")).cloned();
        let until = match (asked, known.and_then(|it| it.parse::<i64>().ok())) {
            // As long again as before: no length of time that somebody wrote.
            (None, Some(seconds)) => {
                scene.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(scene.now)
            }
            (asked, _) => self.lease(asked.as_deref(), scene.now),
        };
        let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // Some name a moment that means nothing, and some a time that is not theirs.
        let named = self.variable("termination.named");
        let stated = if named.is_empty() { text(self.time(until)) } else { named.to_owned() };
        let ahead = SignedDuration::from_secs(self.variable("told.ahead").parse().unwrap_or(0));
        let told = self.time(scene.now).saturating_add(ahead).map(text).unwrap_or_default();
        self.variables.insert("utc.termination".to_owned(), stated);
        self.variables.insert("utc.told".to_owned(), told);
        // A moment that was asked for is over once it has passed: from then on it is what that came to.
        let length = until.duration_since(scene.now).as_secs().max(0);
        self.change("subscriptions", scene, |item| {
            item.insert("until".to_owned(), until.to_string());
            item.insert("lease".to_owned(), length.to_string());
        });
    }

    /// What the pull point has not been told yet, or how long to wait for it.
    fn pull(&mut self, scene: &mut Scene<'_>) {
        self.catch_up(scene.now);
        let most = scene.request.body.value("MessageLimit").and_then(|it| it.parse().ok()).unwrap_or(1);
        let Some(mut item) = scene.picked.get("subscriptions").cloned() else { return };
        let news = self.news(&mut item, most, scene.now);
        if news.is_empty() {
            let longest = scene.request.body.value("Timeout").map_or(Duration::ZERO, timeout);
            scene.wait = self.quiet(scene.now).map_or(longest, |it| it.min(longest));
        }
        self.change("subscriptions", scene, |kept| *kept = item);
        if let Some(item) = scene.picked.get_mut("subscriptions") {
            item.insert("news".to_owned(), news);
        }
    }

    /// What consumers are to be sent now, with their addresses, and how long nothing will happen by the schedule.
    pub(super) fn notices(&mut self, now: Timestamp) -> (Vec<(String, String)>, Option<Duration>) {
        self.forget_ended(now);
        let consumes = |item: &Item| item.get("consumer").is_some_and(|it| !it.is_empty());
        let Some(mut subscriptions) = self.collections.get("subscriptions").cloned() else {
            return (Vec::new(), None);
        };
        if !subscriptions.iter().any(consumes) {
            return (Vec::new(), None);
        }
        self.catch_up(now);
        let mut notices = Vec::new();
        for item in subscriptions.iter_mut().filter(|it| consumes(it)) {
            let news = self.news(item, SIM_EVENTS_MAX, now);
            let consumer = item.get("consumer").cloned().unwrap_or_default();
            if !news.is_empty() {
                let header = "<wsa:Action>http://docs.oasis-open.org/wsn/bw-2/NotificationConsumer/Notify</wsa:Action>";
                notices.push((
                    consumer,
                    self.style.envelope(header, &format!("<wsnt:Notify>{news}</wsnt:Notify>")),
                ));
            }
        }
        self.collections.insert("subscriptions".to_owned(), subscriptions);
        (notices, self.quiet(now))
    }

    /// What lives for a time and was not used in it is no more.
    fn forget_ended(&mut self, now: Timestamp) {
        for fleeting in FLEETING {
            self.list_mut(fleeting).retain(|item| {
                item.get("until")
                    .and_then(|until| until.parse::<Timestamp>().ok())
                    .is_none_or(|until| until > now)
            });
        }
    }

    pub(super) fn forget(&mut self, list: &str) {
        self.list_mut(list).clear();
    }

    pub(super) fn list(&self, name: &str) -> &[Item] {
        self.collections.get(name).map_or(&[], Vec::as_slice)
    }

    fn list_mut(&mut self, name: &str) -> &mut Vec<Item> {
        self.collections.entry(name.to_owned()).or_default()
    }
}

/// One request while it is performed.
struct Scene<'a> {
    request: &'a Request,
    /// The part of the request that steps read: its body, or within an `each` one of its elements.
    body: &'a Element,
    path: &'a str,
    now: Timestamp,
    picked: HashMap<String, Item>,
    last: Option<String>,
    wait: Duration,
    header: String,
}

impl Scene<'_> {
    fn pick(&mut self, collection: &str, item: Item) {
        self.picked.insert(collection.to_owned(), item);
        self.last = Some(collection.to_owned());
    }
}

/// An item that is a text. Of `tt:NetworkHost` and the like it is the address, also by the name of its element
/// (`DNSname`).
fn kept(element: &Element) -> Item {
    let address = element.children.iter().rev().find(|child| child.local != "Type");
    let text = |element: &Element| element.text.clone();
    let mut item = Item::from([("value".to_owned(), text(address.unwrap_or(element)))]);
    item.extend(address.map(|address| (address.local.clone(), text(address))));
    item
}

/// A variable, with the variables that stand in it filled in.
fn filled_in(variables: &BTreeMap<String, String>, name: &str) -> String {
    let text = variables.get(name).cloned().unwrap_or_default();
    let known = variables.iter().filter(|(inner, _)| *inner != name);
    if !text.contains('%') {
        return text;
    }
    known.fold(text, |text, (inner, value)| text.replace(&format!("%{inner}%"), value))
}

fn missing(path: &str) -> Refused {
    Refused::new(true, &["ter:InvalidArgs"], &format!("{path} is missing"))
}

fn values(fields: &[(String, Source)], body: &Element) -> Vec<(String, String)> {
    fields.iter().filter_map(|(name, source)| Some((name.clone(), value(source, body)?))).collect()
}

fn value(source: &Source, body: &Element) -> Option<String> {
    match source {
        Source::Literal(text) => Some(text.clone()),
        Source::Path(path) => body.value(path).map(str::to_owned),
        Source::Given(path, text) => body.value(path).map(|_| text.clone()),
        Source::Xml(path) => body.find(path).map(Element::content),
    }
}

fn addressing(action: &str, request: &Request) -> String {
    let relates = request
        .header("MessageID")
        .map_or(String::new(), |id| format!("<wsa:RelatesTo>{}</wsa:RelatesTo>", escaped(&id.text)));
    format!("<wsa:Action>{action}</wsa:Action>{relates}")
}

/// `PT5S`, `PT1M` and the like, no longer than a camera waits; what it cannot read is no wait.
pub(super) fn timeout(text: &str) -> Duration {
    let span = text.trim().parse::<jiff::Span>().ok().and_then(|span| SignedDuration::try_from(span).ok());
    span.map_or(Duration::ZERO, |span| span.unsigned_abs()).min(SIM_PULL_TIME_MAX)
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
