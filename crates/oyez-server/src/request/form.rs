//! Which parameters a request may have.

use oyez::LastEventId;

use crate::problem::Problem;

/// The parameters of one kind of request.
#[derive(Debug)]
pub(crate) struct Form {
    /// Those that it reads.
    pub(crate) known: &'static [&'static str],
    /// Those that the design has and this build does not.
    pub(crate) not_yet: &'static [&'static str],
    pub(crate) others: Others,
}

/// What becomes of a parameter that nobody knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Others {
    /// The query is not looked at.
    Unread,
    /// It is refused, and those that are known are named. One that makes a URL new to a cache passes.
    RefuseButCacheBusters,
    /// It is refused, and those that are known are named.
    Refuse,
    /// It is refused in these words: none is known.
    NoneKnown(&'static str),
}

impl Form {
    /// Of what takes any query, since it does not look at it.
    pub(crate) const UNREAD: Self = Self { known: &[], not_yet: &[], others: Others::Unread };

    /// The name under which a parameter is read; `None` for one that is passed over. A refusal tells its name and never its
    /// value, which may be a secret.
    pub(crate) fn reads(&self, name: &str) -> Result<Option<&'static str>, Problem> {
        let meant = meant(name);
        if let Some(known) = self.known.iter().find(|known| **known == meant) {
            return Ok(Some(known));
        }
        if self.not_yet.contains(&meant) {
            return Err(Problem::NotYet { what: format!("the parameter {name}") });
        }
        // a token in a URL ends up in logs and histories
        if matches!(name, "authorization" | "access_token") {
            return Err(Problem::NotYet {
                what: format!("a token in the query ({name}), where logs would record it,"),
            });
        }
        let why = match self.others {
            Others::Unread => return Ok(None),
            Others::RefuseButCacheBusters if CACHE_BUSTERS.contains(&name) => return Ok(None),
            Others::Refuse if meant == TOPIC => "the topic stands in the path, as in /events/TOPIC".to_owned(),
            Others::RefuseButCacheBusters | Others::Refuse => format!("known are {}", self.known.join(", ")),
            Others::NoneKnown(why) => why.to_owned(),
        };
        Err(Problem::invalid(format!("unknown parameter {:?}; {why}", shortened(name))))
    }
}

/// The name that is meant by one of its spellings.
fn meant(name: &str) -> &str {
    // PHP and axios write a list as `topic[]=a&topic[]=b` or `topic[0]=a&topic[1]=b`
    let item = name.strip_suffix(']').and_then(|name| name.split_once('['));
    let list = item.filter(|(_, index)| index.bytes().all(|byte| byte.is_ascii_digit())).map_or(name, |(list, _)| list);
    match list {
        TOPIC | "topics" => TOPIC,
        _ if LastEventId::is_parameter(name) => LAST_EVENT_ID,
        _ => name,
    }
}

/// The beginning of a name that is too long to be one: a value without a name, perhaps.
fn shortened(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_CHARS).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

const TOPIC: &str = "topic";
const LAST_EVENT_ID: &str = "last_event_id";
/// What libraries add, with a number, so that no cache answers.
const CACHE_BUSTERS: [&str; 4] = ["_", "t", "ts", "cb"];
/// Characters of a name that are shown: more than any parameter has.
const SHOWN_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        known: &["topic", "limit", "last_event_id"],
        not_yet: &["later"],
        others: Others::RefuseButCacheBusters,
    };

    #[test]
    fn spellings_of_one_name_are_one() {
        for (name, expected) in [
            ("topic", Some("topic")),
            ("topics", Some("topic")),
            ("topic[]", Some("topic")),
            ("topics[12]", Some("topic")),
            ("lastEventId", Some("last_event_id")),
            ("limit", Some("limit")),
            ("_", None),
            ("t", None),
            ("ts", None),
            ("cb", None),
        ] {
            assert_eq!(FORM.reads(name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn others_are_refused_with_what_is_known() {
        for name in ["limt", "Topic", "limit[]", "topic[x]", "topic[", "topic]", "topic[]x", "tx", ""] {
            let problem = FORM.reads(name).unwrap_err().to_string();
            assert!(problem.contains(&format!("{name:?}; known are topic, limit, last_event_id")), "{problem}");
        }
        assert!(FORM.reads("later").unwrap_err().to_string().contains("not in this build"));
        let refuse = |others| Form { others, ..FORM };
        assert!(refuse(Others::Refuse).reads("_").is_err());
        assert!(refuse(Others::NoneKnown("none")).reads("_").unwrap_err().to_string().ends_with("none"));
        let publish = Form { known: &[], ..refuse(Others::Refuse) };
        assert!(publish.reads("topics").unwrap_err().to_string().contains("in the path"));
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_not_told_whole() {
        let problem = FORM.reads(&"é".repeat(40)).unwrap_err().to_string();
        assert!(problem.contains(&format!("{}…", "é".repeat(32))), "{problem}");
    }
}
