//! A URL's target or a request's body with places for topic and data.

/// Text in which `{topic}` and, in a body, `{data}` stand for what they say. Both consist of letters, digits, `-` and
/// `.`, so neither needs encoding in a path, a query, a form or JSON. Other braces are themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Data,
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((at, part, length)) = first_place(rest) {
            let (before, after) = rest.split_at(at);
            parts.push(Part::Text(before.to_owned()));
            parts.push(part);
            rest = after.split_at(length).1;
        }
        parts.push(Part::Text(rest.to_owned()));
        Self(parts)
    }

    pub(crate) fn has_topic(&self) -> bool {
        self.0.contains(&Part::Topic)
    }

    pub(crate) fn has_data(&self) -> bool {
        self.0.contains(&Part::Data)
    }

    pub(crate) fn write(&self, topic: &str, data: &[u8], out: &mut Vec<u8>) {
        for part in &self.0 {
            out.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Topic => topic.as_bytes(),
                Part::Data => data,
            });
        }
    }
}

fn first_place(text: &str) -> Option<(usize, Part, usize)> {
    let places = [(TOPIC, Part::Topic), (DATA, Part::Data)];
    let found = places.into_iter().filter_map(|(place, part)| Some((text.find(place)?, part, place.len())));
    found.min_by_key(|(at, ..)| *at)
}

pub(crate) const TOPIC: &str = "{topic}";
pub(crate) const DATA: &str = "{data}";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let mut out = Vec::new();
        Template::new(template).write("bench-1", b"oyez.7", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn places_are_filled_and_the_rest_stays() {
        check("", "");
        check("{data}", "oyez.7");
        check(
            "topic=https%3A%2F%2Fx%2F{topic}&data={data}&again={topic}",
            "topic=https%3A%2F%2Fx%2Fbench-1&data=oyez.7&again=bench-1",
        );
        check(r#"{"channel":"{topic}","data":{"text":"{data}"}}"#, r#"{"channel":"bench-1","data":{"text":"oyez.7"}}"#);
        check("{top} {{topic}} }{", "{top} {bench-1} }{");
    }
}
