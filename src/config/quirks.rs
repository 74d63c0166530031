//! `quirks` of a `[[camera]]`: what its owner says about its ways.

use toml::Spanned;

use super::{raw, reader::Reader};
use crate::{
    inventory::{KnownQuirks, QuirkOrder},
    limits::QUIRK_NOTE_CHARS_MAX,
};

impl Reader<'_> {
    pub(super) fn quirks(&mut self, raw: Option<&Spanned<Vec<raw::QuirkLine>>>) -> Vec<QuirkOrder> {
        let Some(raw) = raw.filter(|raw| !raw.get_ref().is_empty()) else { return Vec::new() };
        let known = match KnownQuirks::embedded() {
            Ok(known) => known,
            Err(error) => {
                let what = format!("the table of quirks of the program cannot be used: {error}");
                let remedy = "report it: this program is broken, the configuration is not";
                self.error(raw.span(), &what, remedy);
                return Vec::new();
            }
        };
        let mut orders: Vec<QuirkOrder> = Vec::new();
        for line in raw.get_ref() {
            let Some(order) = self.quirk(line, raw, &known) else { continue };
            if orders.iter().any(|it| it.quirk == order.quirk) {
                let what = format!("quirk `{}` stands here twice", order.quirk);
                self.error(raw.span(), &what, "leave one of them out");
            }
            orders.push(order);
        }
        orders
    }

    fn quirk(
        &mut self,
        line: &raw::QuirkLine,
        list: &Spanned<Vec<raw::QuirkLine>>,
        known: &KnownQuirks,
    ) -> Option<QuirkOrder> {
        let (name, used) = match (&line.used, &line.forbid) {
            (Some(name), None) => (name, true),
            (None, Some(name)) => (name, false),
            (Some(_), Some(_)) | (None, None) => {
                let remedy =
                    "write { use = \"NAME\", reason = \"…\" } or { forbid = \"NAME\", reason = \"…\" }";
                self.error(list.span(), "a quirk is used or forbidden, one of both", remedy);
                return None;
            }
        };
        let quirk = known.settable(name.get_ref());
        if quirk.is_none() {
            let what = format!("`{}` is no quirk that can be used or forbidden", name.get_ref());
            self.error(name.span(), &what, &format!("use one of {}", known.settable_names().join(", ")));
        }
        let reason = line.reason.get_ref().trim();
        if reason.is_empty() || reason.chars().count() > QUIRK_NOTE_CHARS_MAX {
            let remedy = format!("say in 1 to {QUIRK_NOTE_CHARS_MAX} characters how you know");
            self.error(line.reason.span(), "a quirk needs a reason", &remedy);
        }
        Some(QuirkOrder { quirk: quirk?, used, reason: reason.to_owned() })
    }
}
