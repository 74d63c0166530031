//! Topic expressions of subscriptions: the dialects Concrete (WS-Topics §8.2) and ConcreteSet (ONVIF Core §9.6.3).

use super::event::Topic;
use crate::{
    limits::{EVENT_TOPIC_BYTES_MAX, EVENT_TOPIC_PATHS_MAX, EVENT_TOPIC_STEPS_MAX},
    onvif::{CONCRETE, CONCRETE_SET},
    schema::xml::is_ncname,
};

/// Which topics somebody wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicExpression {
    any_of: Vec<Path>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    steps: Vec<Step>,
    /// Whether all topics below it are meant, too (`//.`).
    below: bool,
}

/// A namespace and a local name.
type Step = (Box<str>, Box<str>);

/// Why an expression cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is in a language nobody reads here.
    #[error("the topic expression is in a dialect other than Concrete and ConcreteSet")]
    Dialect,
    /// It is longer than any.
    #[error("the topic expression is longer than {EVENT_TOPIC_BYTES_MAX} bytes")]
    Long,
    /// It names more topics than any, or deeper ones.
    #[error(
        "the topic expression has more than {EVENT_TOPIC_PATHS_MAX} topics, or one of more than {EVENT_TOPIC_STEPS_MAX} steps"
    )]
    Many,
    /// It is not written as its dialect wants it.
    #[error("the topic expression is not written as its dialect says")]
    Malformed,
}

impl TopicExpression {
    /// Reads an expression; `space` says which namespace a prefix in it stands for.
    pub fn parse(
        dialect: &str,
        text: &str,
        space: &dyn Fn(&str) -> Option<Box<str>>,
    ) -> Result<Self, TopicError> {
        if text.len() > EVENT_TOPIC_BYTES_MAX {
            return Err(TopicError::Long);
        }
        let any_of = match dialect.trim() {
            CONCRETE => vec![path(text, space)?],
            CONCRETE_SET => {
                let paths = text.split('|').take(EVENT_TOPIC_PATHS_MAX + 1);
                paths.map(|it| with_those_below(it, space)).collect::<Result<_, _>>()?
            }
            _ => return Err(TopicError::Dialect),
        };
        if any_of.len() > EVENT_TOPIC_PATHS_MAX {
            return Err(TopicError::Many);
        }
        Ok(Self { any_of })
    }

    /// Whether a topic is among those meant.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.any_of.iter().any(|path| path.matches(topic))
    }
}

impl Path {
    fn matches(&self, topic: &Topic) -> bool {
        let mut above = "";
        let mut names = topic.names().iter().map(|it| {
            // A topic without prefix is of the namespace of the one above it.
            above = if it.namespace.is_empty() { above } else { &it.namespace };
            (above, &*it.local)
        });
        let begins = self.steps.iter().all(|(space, local)| names.next() == Some((space, local)));
        begins && (self.below || names.next().is_none())
    }
}

fn with_those_below(text: &str, space: &dyn Fn(&str) -> Option<Box<str>>) -> Result<Path, TopicError> {
    let text = text.trim();
    match text.strip_suffix("//.") {
        Some(above) => Ok(Path { below: true, ..path(above, space)? }),
        None => path(text, space),
    }
}

fn path(text: &str, space: &dyn Fn(&str) -> Option<Box<str>>) -> Result<Path, TopicError> {
    let mut steps: Vec<Step> = Vec::new();
    for word in text.trim().split('/') {
        if steps.len() >= EVENT_TOPIC_STEPS_MAX {
            return Err(TopicError::Many);
        }
        let (in_space, local) = match word.split_once(':') {
            Some((prefix, local)) => (space(prefix).ok_or(TopicError::Malformed)?, local),
            None => (steps.last().map_or_else(|| "".into(), |(above, _)| above.clone()), word),
        };
        if !is_ncname(local) {
            return Err(TopicError::Malformed);
        }
        steps.push((in_space, local.into()));
    }
    Ok(Path { steps, below: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(prefix: &str) -> Option<Box<str>> {
        match prefix {
            "tns1" | "t" => Some("http://www.onvif.org/ver10/topics".into()),
            "tnsaxis" => Some("http://www.axis.com/2009/event/topics".into()),
            _ => None,
        }
    }

    fn set(text: &str) -> Result<TopicExpression, TopicError> {
        TopicExpression::parse(CONCRETE_SET, text, &space)
    }

    fn topic(text: &str) -> Topic {
        Topic::parse(text, &|prefix| space(prefix).map(String::from)).unwrap()
    }

    #[test]
    fn topics_are_told_apart_by_namespace_and_path() {
        // expression, topic, whether it is meant
        let table = [
            ("tns1:VideoSource/MotionAlarm", "t:VideoSource/MotionAlarm", true),
            ("tns1:VideoSource/MotionAlarm", "t:VideoSource/t:MotionAlarm", true),
            ("tns1:VideoSource/tns1:MotionAlarm", "t:VideoSource/MotionAlarm", true),
            ("tns1:VideoSource/MotionAlarm", "t:VideoSource/tnsaxis:MotionAlarm", false),
            ("tns1:VideoSource/MotionAlarm", "tnsaxis:VideoSource/MotionAlarm", false),
            ("tns1:VideoSource", "t:VideoSource/MotionAlarm", false),
            ("tns1:VideoSource/MotionAlarm", "t:VideoSource", false),
            ("tns1:VideoSource//.", "t:VideoSource/MotionAlarm", true),
            ("tns1:VideoSource//.", "t:VideoSource", true),
            ("tns1:VideoSource//.", "t:VideoSourceOther", false),
            ("tns1:Device//. | tns1:VideoSource/MotionAlarm", "t:VideoSource/MotionAlarm", true),
            ("tns1:Device//.|tns1:RuleEngine//.", "t:VideoSource/MotionAlarm", false),
            ("VideoSource/MotionAlarm", "t:VideoSource/MotionAlarm", false),
        ];
        for (expression, named, meant) in table {
            assert_eq!(set(expression).unwrap().matches(&topic(named)), meant, "{expression} {named}");
        }
    }

    #[test]
    fn what_no_dialect_knows_is_refused() {
        let many = vec!["tns1:A"; EVENT_TOPIC_PATHS_MAX + 1].join("|");
        let deep = format!("tns1:A{}", "/B".repeat(EVENT_TOPIC_STEPS_MAX));
        let table = [
            ("", TopicError::Malformed),
            ("tns1:*", TopicError::Malformed),
            ("tns1:A//B", TopicError::Malformed),
            ("//tns1:A", TopicError::Malformed),
            ("tns1:A/", TopicError::Malformed),
            ("tns1:A|", TopicError::Malformed),
            ("nobody:A", TopicError::Malformed),
            (&many, TopicError::Many),
            (&deep, TopicError::Many),
            (&"a".repeat(EVENT_TOPIC_BYTES_MAX + 1), TopicError::Long),
        ];
        for (expression, why) in table {
            assert_eq!(set(expression), Err(why), "{expression}");
        }
        let as_many = vec!["tns1:A"; EVENT_TOPIC_PATHS_MAX].join("|");
        assert_eq!(set(&as_many).map(|it| it.any_of.len()), Ok(EVENT_TOPIC_PATHS_MAX));
        let concrete = |text| TopicExpression::parse(CONCRETE, text, &space);
        assert!(
            concrete("tns1:VideoSource/MotionAlarm")
                .is_ok_and(|it| it.matches(&topic("t:VideoSource/MotionAlarm")))
        );
        assert_eq!(concrete("tns1:VideoSource//."), Err(TopicError::Malformed));
        assert_eq!(concrete("tns1:A|tns1:B"), Err(TopicError::Malformed));
        let full = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Full";
        assert_eq!(TopicExpression::parse(full, "tns1:A", &space), Err(TopicError::Dialect));
    }
}
