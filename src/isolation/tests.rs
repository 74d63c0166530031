use serde_json::json;

use super::{
    desired::Desired,
    found::{Found, FoundZone, Link, read},
    plan::{Plan, PlanError, Step},
    *,
};
use crate::{
    ids::ZoneId,
    inventory::{Attachment, Leg, Route},
};

fn desired(attachment: Attachment) -> Desired {
    let leg = Leg {
        attachment,
        addresses: ["192.0.2.1/24", "2001:db8:1::1/64"].map(|it| it.parse().unwrap()).to_vec(),
        routes: vec![Route { to: "198.51.100.0/24".parse().unwrap(), via: "192.0.2.254".parse().unwrap() }],
    };
    let prefixes =
        ["192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/64"].map(|it| it.parse().unwrap()).to_vec();
    Desired {
        zone: ZoneId::new("yard").unwrap(),
        prefixes,
        leg,
        event_sink: None,
        residents: None,
        beside: [].into(),
    }
}

fn own() -> Desired {
    desired(Attachment::Interface("eth1".into()))
}

fn tagged() -> Desired {
    desired(Attachment::Vlan { parent: "eth1".into(), id: 20 })
}

/// As `ip -json -details address show` tells them.
fn links(of: &serde_json::Value) -> Vec<Link> {
    read(of.to_string().as_bytes()).unwrap()
}

fn home(more: &serde_json::Value) -> Found {
    let core =
        json!({ "ifname": "eth0", "flags": ["UP"], "addr_info": [{ "local": "10.1.0.1", "prefixlen": 16 }] });
    let mut eth1 = json!({ "ifname": "eth1", "flags": ["BROADCAST"], "addr_info": [] });
    eth1.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Found {
        home: FoundZone { links: links(&json!([core, eth1])), ..FoundZone::default() },
        ..Found::default()
    }
}

/// A zone that is as it should be.
fn isolated(desired: &Desired) -> Found {
    let lo = json!({ "ifname": "lo", "flags": ["LOOPBACK"], "addr_info": [] });
    let link = json!({ "ifname": desired.interface(), "flags": ["UP"], "addr_info": [
        { "local": "192.0.2.1", "prefixlen": 24 },
        { "local": "2001:db8:1::1", "prefixlen": 64 },
        { "local": "fe80::1", "prefixlen": 64 },
    ] });
    let routes = json!([
        { "dst": "192.0.2.0/24", "dev": desired.interface() },
        { "dst": "198.51.100.0/24", "gateway": "192.0.2.254", "dev": desired.interface() },
        { "dst": "fe80::/64", "dev": desired.interface() },
        { "type": "broadcast", "dst": "192.0.2.255", "dev": desired.interface(), "table": "local" },
        { "type": "multicast", "dst": "ff00::/8", "dev": desired.interface(), "table": "local" },
    ]);
    let rules = json!([{ "priority": 0, "table": "local" }, { "priority": 32766, "table": "main" }]);
    let settings = desired.settings().into_iter().chain(desired.interface_settings());
    let zone = FoundZone {
        links: links(&json!([lo, link])),
        routes: read(routes.to_string().as_bytes()).unwrap(),
        rules: read(rules.to_string().as_bytes()).unwrap(),
        settings: settings.map(|it| (it.path, it.value.to_owned())).collect(),
        neighbours: Vec::new(),
        qdiscs: read(br#"[{"kind":"noqueue","dev":"eth1"}]"#).unwrap(),
        ruleset: Some(desired.rules().as_listed()),
    };
    Found { zone: Some(zone), ..Found::default() }
}

/// The commands of a plan, settings left out.
fn commands(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| !matches!(step, Step::Set { .. }));
    steps.map(|step| step.command().join(" ")).collect()
}

fn to(desired: &Desired, found: &Found) -> Result<Plan, PlanError> {
    let core = CoreSide { addresses: ["10.1.0.1".parse().unwrap()].into(), every: false };
    Plan::to(desired, found, &core)
}

#[test]
fn rules_are_in_force_before_an_interface_comes_and_again_before_it_comes_up() {
    let found = home(&json!({ "flags": ["UP"], "addr_info": [{ "local": "10.9.0.1", "prefixlen": 24 }] }));
    let plan = to(&own(), &found).unwrap();
    assert_eq!(
        commands(&plan),
        [
            "ip netns add cordon-yard",
            "ip netns exec cordon-yard nft -j -f -",
            "ip address delete 10.9.0.1/24 dev eth1",
            "ip link set eth1 down",
            "ip link set eth1 netns cordon-yard",
            "ip netns exec cordon-yard nft -j -f -",
            "ip -n cordon-yard address add 192.0.2.1/24 dev eth1",
            "ip -n cordon-yard address add 2001:db8:1::1/64 dev eth1 nodad",
            "ip -n cordon-yard link set eth1 up",
            "ip -n cordon-yard route replace 198.51.100.0/24 via 192.0.2.254 dev eth1",
        ]
    );
    let up = plan.steps.iter().position(|step| matches!(step, Step::Up { .. })).unwrap();
    let last_setting = plan.steps.iter().rposition(|step| matches!(step, Step::Set { .. })).unwrap();
    assert!(last_setting < up);
    let undone: Vec<_> =
        plan.steps.iter().rev().filter_map(Step::undo).map(|step| step.command().join(" ")).collect();
    assert_eq!(
        undone,
        [
            "ip -n cordon-yard link set eth1 down",
            "ip -n cordon-yard address delete 2001:db8:1::1/64 dev eth1",
            "ip -n cordon-yard address delete 192.0.2.1/24 dev eth1",
            "ip -n cordon-yard link set eth1 netns $$",
            "ip link set eth1 up",
            "ip address add 10.9.0.1/24 dev eth1",
            "ip netns delete cordon-yard",
        ]
    );
}

#[test]
fn the_parent_of_a_tag_is_shut_away_in_a_namespace_of_its_own() {
    let plan = to(&tagged(), &home(&json!({}))).unwrap();
    assert_eq!(
        commands(&plan)[2..9],
        [
            "ip netns add cordon-trunk-eth1",
            "ip link set eth1 netns cordon-trunk-eth1",
            "ip netns exec cordon-trunk-eth1 nft -j -f -",
            "ip -n cordon-trunk-eth1 link set eth1 up",
            "ip -n cordon-trunk-eth1 link add link eth1 name zone.20 type vlan id 20",
            "ip -n cordon-trunk-eth1 link set zone.20 netns cordon-yard",
            "ip netns exec cordon-yard nft -j -f -",
        ]
    );
    let mut found = isolated(&tagged());
    let trunk =
        FoundZone { links: links(&json!([{ "ifname": "eth1", "flags": ["UP"] }])), ..FoundZone::default() };
    found.trunk = Some(trunk);
    let last = commands(&Plan::remove(&tagged(), &found, false));
    assert_eq!(
        last,
        [
            "ip -n cordon-yard link delete zone.20",
            "ip netns delete cordon-yard",
            "ip -n cordon-trunk-eth1 link set eth1 down",
            "ip -n cordon-trunk-eth1 link set eth1 netns $$",
            "ip netns delete cordon-trunk-eth1",
        ]
    );
    assert_eq!(commands(&Plan::remove(&tagged(), &found, true)).len(), 2, "another zone has a tag of it");
}

#[test]
fn a_trunk_lets_in_the_tags_of_its_zones_and_no_others() {
    let zone = |name: &str, parent: &str, id: u16| {
        let attachment = Attachment::Vlan { parent: parent.into(), id };
        Desired { zone: ZoneId::new(name).unwrap(), ..desired(attachment) }
    };
    let rule = |zone: &Desired| {
        let text = zone.trunk_rules().unwrap().text();
        let let_in: Vec<_> = text.lines().filter(|it| it.ends_with(" accept")).map(str::to_owned).collect();
        let_in.join("\n")
    };
    let alone = Desired::together(vec![zone("yard", "eth1", 20), zone("hall", "eth2", 7), own()]);
    assert_eq!(rule(&alone[0]), "add rule netdev cordon ingress vlan id 20 accept");
    let shared = Desired::together(vec![zone("yard", "eth1", 20), zone("hall", "eth1", 30)]);
    for zone in &shared {
        assert_eq!(rule(zone), "add rule netdev cordon ingress vlan id { 20, 30 } accept");
    }
    assert_eq!(shared[0].digest(), alone[0].digest(), "no part of the configuration of one");
    // Another zone came to a trunk that there is.
    let mut found = isolated(&shared[0]);
    let trunk = |rules: Ruleset| FoundZone {
        links: links(&json!([{ "ifname": "eth1", "flags": ["UP"] }])),
        ruleset: Some(rules.as_listed()),
        ..FoundZone::default()
    };
    found.trunk = Some(trunk(alone[0].trunk_rules().unwrap()));
    let told: Vec<_> = compare(&shared[0], &found).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["trunk: rules of chain netdev cordon ingress: should be as planned, is changed"]);
    let plan = to(&shared[0], &found).unwrap();
    assert_eq!(commands(&plan), ["ip netns exec cordon-trunk-eth1 nft -j -f -"]);
    found.trunk = Some(trunk(shared[0].trunk_rules().unwrap()));
    assert_eq!((compare(&shared[0], &found), to(&shared[0], &found).unwrap().steps), (vec![], vec![]));
}

#[test]
fn a_vlan_that_was_left_half_made_is_made_anew_and_removed() {
    let half = links(&json!([
        { "ifname": "eth1", "flags": ["UP"] },
        { "ifname": "zone.20", "flags": [], "linkinfo": { "info_kind": "vlan" } },
        { "ifname": "zone.30", "flags": [], "linkinfo": { "info_kind": "vlan" } },
    ]));
    let mut found = home(&json!({}));
    found.home.links.remove(1);
    found.trunk = Some(FoundZone { links: half, ..FoundZone::default() });
    let planned = commands(&to(&tagged(), &found).unwrap());
    let made = planned.iter().position(|it| it.contains("link add")).unwrap();
    assert_eq!(planned[made - 1], "ip -n cordon-trunk-eth1 link delete zone.20");
    assert_eq!(
        commands(&Plan::remove(&tagged(), &found, true)),
        ["ip -n cordon-trunk-eth1 link delete zone.20"],
        "another zone has the other tag"
    );
    assert_eq!(
        commands(&Plan::remove(&tagged(), &found, false)),
        [
            "ip -n cordon-trunk-eth1 link delete zone.20",
            "ip -n cordon-trunk-eth1 link delete zone.30",
            "ip -n cordon-trunk-eth1 link set eth1 down",
            "ip -n cordon-trunk-eth1 link set eth1 netns $$",
            "ip netns delete cordon-trunk-eth1",
        ]
    );
}

#[test]
fn a_gateway_that_serves_at_every_address_gives_up_no_interface_that_has_one() {
    let every = CoreSide { addresses: ["0.0.0.0".parse().unwrap()].into(), every: true };
    let check = |address: &str, length: u8| {
        let found = home(&json!({ "addr_info": [{ "local": address, "prefixlen": length }] }));
        Plan::to(&own(), &found, &every).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(
        check("10.9.0.1", 24).unwrap_err().contains("`eth1` carries 10.9.0.1, an address of the core side")
    );
    assert_eq!(check("192.0.2.1", 24), Ok(()), "the zone's own");
    assert_eq!(check("192.0.2.7", 24), Ok(()), "of its networks");
    assert_eq!(check("fe80::1", 64), Ok(()), "the kernel's");
}

#[test]
fn a_kernel_without_ipv6_keeps_zones_of_ipv4() {
    let mut four = own();
    four.leg.addresses.retain(|it| it.addr().is_ipv4());
    let found = Found { without_ipv6: true, ..home(&json!({})) };
    let plan = to(&four, &found).unwrap();
    let of_v6 = |it: &&Step| matches!(it, Step::Set { setting, .. } if setting.path.contains("ipv6"));
    assert_eq!(plan.steps.iter().filter(of_v6).count(), 0);
    let mut isolated = Found { without_ipv6: true, ..isolated(&four) };
    let zone = isolated.zone.as_mut().unwrap();
    zone.settings.retain(|path, _| !path.contains("ipv6"));
    zone.links[1].addr_info.retain(|it| it.local.is_ipv4());
    assert_eq!(compare(&four, &isolated), []);
    assert!(to(&own(), &found).unwrap_err().to_string().contains("this kernel has IPv6 switched off"));
}

#[test]
fn what_is_as_it_should_be_has_no_differences_and_needs_no_steps() {
    let found = isolated(&own());
    assert_eq!(compare(&own(), &found), []);
    assert_eq!(to(&own(), &found).unwrap().steps, []);
}

#[test]
fn each_change_is_named_and_mended() {
    type Change = fn(&mut FoundZone);
    let check = |change: Change, told: &str, mended: &str| {
        let mut found = isolated(&own());
        change(found.zone.as_mut().unwrap());
        let differences: Vec<_> = compare(&own(), &found).iter().map(ToString::to_string).collect();
        assert_eq!(differences, [told]);
        let steps: Vec<_> =
            to(&own(), &found).unwrap().steps.iter().map(|step| step.command().join(" ")).collect();
        assert!(steps.iter().any(|step| step == mended), "{told}: {steps:?}");
    };
    check(
        |zone| drop(zone.settings.insert("net/ipv4/conf/all/forwarding".into(), "1".into())),
        "setting net/ipv4/conf/all/forwarding: should be 0, is 1",
        "ip netns exec cordon-yard sysctl -w net/ipv4/conf/all/forwarding=0",
    );
    check(
        |zone| zone.links[1].addr_info.retain(|it| it.local.is_ipv6()),
        "address 192.0.2.1/24: should be at eth1, is missing",
        "ip -n cordon-yard address add 192.0.2.1/24 dev eth1",
    );
    check(
        |zone| zone.links.extend(links(&json!([{ "ifname": "leak", "flags": ["UP"] }]))),
        "interface leak: should be elsewhere, is in the zone's namespace",
        "ip -n cordon-yard link set leak netns $$",
    );
    check(
        |zone| {
            zone.routes.extend(read(br#"[{"dst":"default","gateway":"192.0.2.9","dev":"eth1"}]"#).unwrap())
        },
        "route default: should be missing, is by 192.0.2.9",
        "ip -n cordon-yard route delete default via 192.0.2.9 dev eth1",
    );
    check(
        |zone| zone.rules.extend(read(br#"[{"priority":100,"table":"7"}]"#).unwrap()),
        "routing rule 100: should be missing, is to 7",
        "ip -n cordon-yard rule delete priority 100",
    );
    check(
        |zone| {
            let route = br#"[{"dst":"10.0.0.0/8","gateway":"192.0.2.9","dev":"eth1","table":"7"}]"#;
            zone.routes.extend(read(route).unwrap());
        },
        "route 10.0.0.0/8 in table 7: should be missing, is by 192.0.2.9",
        "ip -n cordon-yard route delete 10.0.0.0/8 via 192.0.2.9 dev eth1 table 7",
    );
    check(
        |zone| zone.qdiscs.extend(read(br#"[{"kind":"clsact","dev":"eth1"}]"#).unwrap()),
        "traffic control of eth1: should be without hooks, is clsact",
        "tc -n cordon-yard qdisc delete dev eth1 clsact",
    );
    check(
        |zone| zone.links[1].xdp = Some(json!({ "mode": 2 })),
        "program (XDP) of eth1: should be missing, is there",
        "ip -n cordon-yard link set eth1 xdp off",
    );
    check(
        |zone| zone.ruleset = Some(without_last()),
        "rules of chain inet cordon output: should be as planned, is changed",
        "ip netns exec cordon-yard nft -j -f -",
    );
    check(
        |zone| zone.links[1].flags.clear(),
        "interface eth1: should be up, is down",
        "ip -n cordon-yard link set eth1 up",
    );
}

/// The rules without the last, as `nft` would list them.
fn without_last() -> Ruleset {
    let mut objects = own().rules().as_listed().objects().to_vec();
    objects.pop();
    Ruleset::listed(&json!({ "nftables": objects })).unwrap()
}

#[test]
fn an_interface_that_is_not_for_a_zone_is_not_taken() {
    let check = |found: &Found, told: &str| {
        let error = to(&own(), found).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    };
    check(&Found::default(), "there is no interface `eth1` here");
    check(&home(&json!({ "addr_info": [{ "local": "10.1.0.1", "prefixlen": 16 }] })), "carries 10.1.0.1");
    check(&home(&json!({ "master": "br0" })), "`eth1` is part of `br0`");
    check(&home(&json!({ "linkinfo": { "info_kind": "vlan" } })), "`eth1` is a vlan of another interface");
    let mut found = home(&json!({}));
    found.home.routes = read(br#"[{"dst":"default","gateway":"10.1.0.254","dev":"eth1"}]"#).unwrap();
    check(&found, "default route leads out by `eth1`");
}

#[test]
fn an_interface_that_the_core_side_has_built_on_is_not_taken_and_told_of() {
    let on_it = |more: &serde_json::Value| {
        let mut link = json!({ "ifname": "eth1.5", "flags": ["UP"] });
        link.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        links(&json!([link])).remove(0)
    };
    let here = |kind: &str| on_it(&json!({ "link": "eth1", "linkinfo": { "info_kind": kind } }));
    for desired in [own(), tagged()] {
        for kind in ["vlan", "macvlan", "ipvlan", "macsec"] {
            let mut found = home(&json!({}));
            found.home.links.push(here(kind));
            let error = to(&desired, &found).unwrap_err().to_string();
            assert!(error.contains("`eth1.5` of the core side is made on `eth1`"), "{error}");
            assert!(error.contains("`ip link delete eth1.5`"), "{error}");
        }
        let mut found = home(&json!({}));
        found.home.links.push(here("veth"));
        assert!(to(&desired, &found).is_ok(), "the other end of a pair is made on nothing");
    }
    // It was left behind when its parent was taken.
    let made_on = |desired: &Desired, namespace: &str| {
        let mut found = isolated(desired);
        let away = json!({ "link_index": 3, "link_netnsid": 2, "linkinfo": { "info_kind": "vlan" } });
        found.home.links = vec![on_it(&away)];
        found.namespaces =
            read(format!(r#"[{{"name":"other","id":1}},{{"name":"{namespace}","id":2}}]"#).as_bytes())
                .unwrap();
        let told: Vec<_> = compare(desired, &found).iter().map(ToString::to_string).collect();
        told.into_iter().filter(|it| it.contains("eth1.5")).collect::<Vec<_>>()
    };
    let told = "interface eth1.5 in the core's namespace: should be made on none of the zone's, is made on eth1; move \
                it, or remove it (`ip link delete eth1.5`)";
    assert_eq!(made_on(&own(), "cordon-yard"), [told]);
    assert_eq!(made_on(&tagged(), "cordon-trunk-eth1"), [told]);
    assert_eq!(made_on(&tagged(), "cordon-elsewhere"), [""; 0]);
}

#[test]
fn cameras_reach_the_event_sink_where_there_is_one_and_no_other_port() {
    let rules = |sink: Option<&str>| {
        let zone = Desired { event_sink: sink.map(|it| it.parse().unwrap()), ..own() };
        zone.rules().text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (without, with) = (rules(None), rules(Some("192.0.2.1:8080")));
    let more: Vec<_> = with.iter().filter(|it| !without.contains(it)).collect();
    assert_eq!(more, ["add rule inet cordon input ip daddr 192.0.2.1 tcp dport 8080 accept"]);
    assert_eq!(with.len(), without.len() + 1);
    let zone = Desired { event_sink: Some("192.0.2.1:8080".parse().unwrap()), ..own() };
    assert_ne!(zone.digest(), own().digest(), "whoever serves by another configuration is told");
}

#[test]
fn a_plan_is_read_by_an_engineer() {
    let found = home(&json!({}));
    let plan = to(&own(), &found).unwrap();
    let text = zone_text(&own(), &plan, Grade::of(&own(), &found, false));
    for line in [
        "zone yard: 192.0.2.0/24, 198.51.100.0/24, 2001:db8:1::/64\n",
        "  grade: own interface; not shown: that the cable leads to a switch which carries nothing else\n",
        "  cameras in 198.51.100.0/24 are behind 192.0.2.254: their hardware addresses are not seen, evidence of them is weaker\n",
        "      table inet of the rules below, which needs no interface\n",
        "      add chain netdev cordon ingress { type filter hook ingress device eth1 priority 0; policy drop; }\n",
        "      add rule netdev cordon ingress ip saddr { 192.0.2.0/24, 198.51.100.0/24 } ip saddr != 192.0.2.1 ip daddr 192.0.2.1 accept\n",
        "      add rule netdev cordon ingress meta l4proto { tcp, udp } update @attempts4 { ip saddr . ip daddr . meta l4proto . th dport }\n",
        "      add rule netdev cordon ingress ip saddr { 192.0.2.0/24, 198.51.100.0/24 } ip saddr != 192.0.2.1 ip daddr 239.255.255.250 udp dport 3702 accept\n",
        "      add rule inet cordon input ip daddr 192.0.2.1 udp dport 3702 accept\n",
        "      add rule inet cordon input ip6 daddr ff02::c udp dport 3702 accept\n",
        "      add rule inet cordon output ip daddr 239.255.255.250 udp dport 3702 accept\n",
        "      add rule inet cordon output ip6 daddr 2001:db8:1::/64 accept\n",
        "      add chain inet cordon untracked_in { type filter hook prerouting priority -300; policy accept; }\n",
        "      add rule inet cordon untracked_out udp sport { 123, 3702, 53 } notrack\n",
        "      add rule netdev cordon ingress arp saddr ip { 192.0.2.0/24, 198.51.100.0/24 } arp saddr ip != 192.0.2.1 arp daddr ip 192.0.2.1 update @neighbour_sources { ether saddr limit rate 5/second burst 10 packets } limit rate 100/second burst 200 packets accept\n",
        "      add rule inet cordon output counter drop\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert_eq!(Grade::of(&own(), &found, true), Grade::Virtual);
    assert_eq!(Grade::of(&tagged(), &found, false), Grade::Vlan);
    let veth = home(&json!({ "linkinfo": { "info_kind": "veth" } }));
    assert_eq!(Grade::of(&own(), &veth, false), Grade::Virtual);
    assert_eq!(Grade::seen(&own(), &veth, false), Some(Grade::Virtual));
    assert_eq!(Grade::seen(&own(), &Found::default(), true), None, "what is not there is of no grade");
    for grade in [Grade::OwnInterface, Grade::Vlan, Grade::Virtual] {
        assert_eq!(Grade::parse(grade.as_str()), Some(grade));
    }
}

const CAMERA_MAC: &str = "44:19:b6:00:00:01";

fn with_residents(of: &[(&str, &str)]) -> Desired {
    let resident = |(address, mac): &(&str, &str)| Resident {
        address: address.parse().unwrap(),
        mac: mac.parse().unwrap(),
    };
    let all: Vec<_> = of.iter().map(resident).collect();
    Desired { residents: Some(Residents::of(&own(), &all)), ..own() }
}

#[test]
fn who_may_be_held_to_a_hardware_address() {
    let held = |of: &[(&str, &str)]| {
        let residents = with_residents(of).residents.unwrap();
        residents.iter().map(|it| format!("{} {}", it.address, it.mac)).collect::<Vec<_>>()
    };
    let all = [
        ("192.0.2.10", CAMERA_MAC),
        ("2001:db8:1::10", CAMERA_MAC),
        ("192.0.2.10", "44:19:b6:00:00:02"),
        // Behind a router, the gateway itself, a group.
        ("198.51.100.7", CAMERA_MAC),
        ("192.0.2.1", CAMERA_MAC),
        ("192.0.2.11", "01:00:5e:00:00:01"),
    ];
    assert_eq!(held(&all), ["192.0.2.10 44:19:b6:00:00:01", "2001:db8:1::10 44:19:b6:00:00:01"]);
    assert_eq!(with_residents(&all).digest(), own().digest(), "no part of the configuration");
}

#[test]
fn residents_change_without_anything_else_being_made_anew() {
    let held = with_residents(&[("192.0.2.10", CAMERA_MAC), ("2001:db8:1::10", CAMERA_MAC)]);
    let mut found = isolated(&own());
    let told: Vec<_> = compare(&held, &found).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "rules of chain inet cordon resident_attempts: should be as planned, is missing",
            "rules of chain netdev cordon resident_attempts: should be as planned, is missing",
            "rules of chain netdev cordon residents: should be as planned, is missing",
            "neighbour 192.0.2.10: should be held to 44:19:b6:00:00:01, is missing",
            "neighbour 2001:db8:1::10: should be held to 44:19:b6:00:00:01, is missing",
        ]
    );
    let plan = to(&held, &found).unwrap();
    let [Step::LoadResidents { rules, .. }, Step::Hold { held: now, free, .. }] = &plan.steps[..] else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!((now.len(), free.len()), (2, 0));
    let text = rules.text();
    for line in [
        "arp saddr ip 192.0.2.10 arp saddr ip . arp saddr ether != { 192.0.2.10 . 44:19:b6:00:00:01 } update @claims4 { ether saddr . arp saddr ether . arp saddr ip }\n",
        "arp saddr ip 192.0.2.10 arp saddr ip . ether saddr != { 192.0.2.10 . 44:19:b6:00:00:01 } goto forged\n",
        "ip saddr 192.0.2.10 ip saddr . ether saddr != { 192.0.2.10 . 44:19:b6:00:00:01 } update @forged4 { ether saddr . ip saddr }\n",
        "icmpv6 type nd-neighbor-advert @th,64,128 0x20010db8000100000000000000000010 @th,64,128 . ether saddr != { 0x20010db8000100000000000000000010 . 44:19:b6:00:00:01 } update @claims6_target { ether saddr . ip6 saddr }\n",
        "add rule netdev cordon residents arp saddr ip 192.0.2.10 arp daddr ip 192.0.2.1 accept\n",
        "add rule netdev cordon forged counter drop\n",
        "add rule netdev cordon resident_attempts ip saddr 192.0.2.10 update @resident_attempts4 { ip saddr }\n",
        "add rule inet cordon resident_attempts ip6 saddr 2001:db8:1::10 update @resident_attempts6 { ip6 saddr }\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let zone = found.zone.as_mut().unwrap();
    zone.ruleset = Some(held.rules().as_listed());
    zone.neighbours = read(
        br#"[{"dst":"192.0.2.10","lladdr":"44:19:b6:00:00:01"},{"dst":"2001:db8:1::10","lladdr":"44:19:b6:00:00:01"}]"#,
    )
    .unwrap();
    assert_eq!((compare(&held, &found), to(&held, &found).unwrap().steps), (vec![], vec![]));
    // As long as nobody has said who is held, what is in force stays.
    assert_eq!((compare(&own(), &found), to(&own(), &found).unwrap().steps), (vec![], vec![]));
    let nobody = with_residents(&[]);
    let told: Vec<_> = compare(&nobody, &found).iter().map(|it| it.what.clone()).collect();
    assert_eq!(
        told,
        [
            "rules of chain inet cordon resident_attempts",
            "rules of chain netdev cordon resident_attempts",
            "rules of chain netdev cordon residents",
            "neighbour 192.0.2.10",
            "neighbour 2001:db8:1::10",
        ]
    );
    assert!(
        matches!(&to(&nobody, &found).unwrap().steps[..], [Step::LoadResidents { .. }, Step::Hold { free, .. }] if free.len() == 2)
    );
}
