//! What a gate tells by itself.

use super::*;
use crate::{
    audit::Options,
    auth::client,
    clock::{SimulatedClock, SystemEntropy},
    ids::ClientId,
    limits::COMMANDS_PER_CLIENT_MAX,
};

#[test]
fn a_client_that_has_as_much_under_way_as_it_may_have_is_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(Timestamp::UNIX_EPOCH));
    let options = Options::new(dir.path(), "gate.example/audit");
    let (log, _) = Log::open(&options, Arc::clone(&clock), &SystemEntropy).unwrap();
    let watch = Watch::new(Arc::default(), Alarms::new(log.clone(), Arc::clone(&clock)));
    let gate = Gate::new(log, clock, watch);
    let active = || gate.watch().alarms.active().0;
    let mut held: Vec<_> = (0..COMMANDS_PER_CLIENT_MAX).map(|_| gate.turn(&client("vms")).unwrap()).collect();
    assert_eq!(active().len(), 0, "as many as it may have");
    assert_eq!(gate.turn(&client("vms")).unwrap_err(), OverBudget::Client);
    held.push(gate.turn(&client("other")).unwrap());
    let told = active();
    let [alarm] = &*told else { panic!("{} alarms", told.len()) };
    let seen = (alarm.alarm, &alarm.subject, &*alarm.detail);
    let vms = Subject::Client(ClientId::new("vms").unwrap());
    let found = "the client has 2048 commands under way over all cameras";
    assert_eq!(seen, (Alarm::ClientOverBudget, &vms, found));
}
