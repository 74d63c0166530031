//! How many files the gateway may have open.

use std::fs;

use crate::{
    house::House,
    process::{Running, SAID},
};

#[test]
fn the_gateway_takes_as_many_files_as_it_may_have_and_says_if_these_are_few() {
    let mut house = House::open();
    house.stop();
    for (hard, few) in [(4_096, false), (600, true)] {
        let running = Running::start_with_files(house.dir(), 256, hard);
        assert_eq!(running.files_max(), hard);
        running.stop();
        let said = fs::read_to_string(house.dir().join(SAID)).unwrap();
        let warning = format!("{hard} files may be open, and ");
        assert_eq!(said.contains(&warning), few, "{said}");
        assert_eq!(said.contains("LimitNOFILE="), few, "{said}");
    }
}
