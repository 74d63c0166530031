//! How a dialect wraps what it says: prefixes, declarations, header.

use std::collections::BTreeMap;

use super::message::Element;

/// The envelope of a dialect, as variables of its script say it.
#[derive(Debug, Clone)]
pub struct Style {
    /// `env`: the prefix of the envelope.
    pub env: String,
    /// `namespaces`: the declarations of its root.
    namespaces: String,
    /// `declare used`: only prefixes that the message has are declared.
    used_only: bool,
    /// `header.empty yes`: a header stands in every answer.
    has_header: bool,
    /// `header.echo yes`: the client's login is sent back to it.
    echoes: bool,
    /// `prefix.tr2 ns1`: what scripts call `tr2` is called `ns1`.
    renamed: Vec<(String, String)>,
}

impl Style {
    /// By a camera's variables.
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        let mut style = Self {
            env: String::new(),
            namespaces: String::new(),
            used_only: false,
            has_header: false,
            echoes: false,
            renamed: Vec::new(),
        };
        for (name, value) in variables {
            let value = value.clone();
            match name.as_str() {
                "env" => style.env = value,
                "namespaces" => style.namespaces = value,
                "declare" => style.used_only = value == "used",
                "header.empty" => style.has_header = value == "yes",
                "header.echo" => style.echoes = value == "yes",
                _ => {
                    if let Some(prefix) = name.strip_prefix("prefix.") {
                        style.renamed.push((prefix.to_owned(), value));
                    }
                }
            }
        }
        style
    }

    /// What of a request's header comes back in the answer's.
    pub fn echo(&self, security: Option<&Element>) -> String {
        security.filter(|_| self.echoes).map_or(String::new(), Element::xml)
    }

    /// An envelope around header blocks and the content of the body.
    pub fn envelope(&self, header: &str, body: &str) -> String {
        let env = &self.env;
        let header = match header {
            "" if !self.has_header => String::new(),
            blocks => format!("<{env}:Header>{blocks}</{env}:Header>"),
        };
        let message = self.renamed.iter().fold(format!("{header}<{env}:Body>{body}</{env}:Body>"), rename);
        let namespaces = self.declarations(&message);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{env}:Envelope {namespaces}>{message}</{env}:Envelope>"
        )
    }

    fn declarations(&self, message: &str) -> String {
        if !self.used_only {
            return self.namespaces.clone();
        }
        let is_used = |declaration: &&str| {
            let prefix = declaration.strip_prefix("xmlns:").and_then(|it| it.split('=').next()).unwrap_or("");
            ['<', '/', ' ', '"', '>'].iter().any(|before| message.contains(&format!("{before}{prefix}:")))
        };
        self.namespaces.split_whitespace().filter(is_used).collect::<Vec<_>>().join(" ")
    }
}

fn rename(message: String, (from, to): &(String, String)) -> String {
    message
        .replace(&format!("<{from}:"), &format!("<{to}:"))
        .replace(&format!("</{from}:"), &format!("</{to}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_as_its_dialect_says() {
        let say = |extra: &[(&'static str, &str)]| {
            let common =
                [("env", "s"), ("namespaces", "xmlns:s=\"urn:s\" xmlns:t=\"urn:t\" xmlns:n=\"urn:n\"")];
            let all = common.iter().chain(extra);
            Style::new(&all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let declared = |style: Style| {
            let text = style.envelope("", "<t:A b=\"1\"/>");
            text.split_once("\n<s:Envelope ").unwrap().1.to_owned()
        };
        let all = "xmlns:s=\"urn:s\" xmlns:t=\"urn:t\" xmlns:n=\"urn:n\">";
        assert_eq!(declared(say(&[])), format!("{all}<s:Body><t:A b=\"1\"/></s:Body></s:Envelope>"));
        let header = declared(say(&[("header.empty", "yes")]));
        assert_eq!(header, format!("{all}<s:Header></s:Header><s:Body><t:A b=\"1\"/></s:Body></s:Envelope>"));
        let used = declared(say(&[("declare", "used")]));
        assert_eq!(used, "xmlns:s=\"urn:s\" xmlns:t=\"urn:t\"><s:Body><t:A b=\"1\"/></s:Body></s:Envelope>");
        let renamed = declared(say(&[("declare", "used"), ("prefix.t", "n")]));
        assert_eq!(
            renamed,
            "xmlns:s=\"urn:s\" xmlns:n=\"urn:n\"><s:Body><n:A b=\"1\"/></s:Body></s:Envelope>"
        );
    }
}
