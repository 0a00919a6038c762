//! The query of a request.

use std::borrow::Cow;
use std::str::FromStr;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::form::{Form, Others};
use crate::problem::Problem;

/// The query of a request, decoded and held against its form.
pub(crate) struct Query<'a> {
    /// Under the names that the form has for them.
    pairs: Vec<(&'static str, Cow<'a, str>)>,
    form: &'static Form,
}

impl<'a> Query<'a> {
    pub(crate) fn read(uri: &'a Uri, form: &'static Form) -> Result<Self, Problem> {
        let mut query = Self { pairs: Vec::new(), form };
        if matches!(form.others, Others::Unread) {
            return Ok(query);
        }
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = form_decode(name)
                .ok_or_else(|| Problem::invalid(format!("the parameter {name:?} is not UTF-8 after decoding")))?;
            if let Some(known) = form.reads(&decoded)? {
                let value = form_decode(value)
                    .ok_or_else(|| Problem::invalid(format!("{known}={value:?} is not UTF-8 after decoding")))?;
                query.pairs.push((known, value));
            }
        }
        Ok(query)
    }

    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        debug_assert!(self.form.known.contains(&name), "the form knows what is read: {name}");
        self.pairs.iter().filter(move |(found, _)| *found == name).map(|(_, value)| &**value)
    }

    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Problem::invalid(format!("the parameter {name} is given more than once")));
        }
        Ok(first)
    }

    /// A switch: present without a value or with 1 or true is on.
    pub(crate) fn truth(&self, name: &'static str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(Problem::invalid(format!("{name}={other:?} is neither 1 nor 0"))),
        }
    }

    pub(crate) fn number<N: FromStr>(&self, name: &'static str) -> Result<Option<N>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Some).ok_or_else(|| Problem::invalid(format!("{name}={text:?} is not a whole number")))
    }
}

fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).ok()
}
