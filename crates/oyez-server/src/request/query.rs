//! The query of a request.

use std::borrow::Cow;
use std::str::FromStr;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::form::{Form, Others};
use crate::problem::Problem;

/// The query of a request, decoded and held against its form.
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    form: &'static Form,
}

impl<'a> Query<'a> {
    pub(crate) fn read(uri: &'a Uri, form: &'static Form) -> Result<Self, Problem> {
        if matches!(form.others, Others::Unread) {
            return Ok(Self { pairs: Vec::new(), form });
        }
        let text = uri.query().unwrap_or_default();
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((form_decode(name)?, form_decode(value)?))
        });
        let query = Self { pairs: pairs.collect::<Result<_, Problem>>()?, form };
        query.refuse_not_yet()?;
        query.refuse_tokens()?;
        query.refuse_others()?;
        Ok(query)
    }

    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        debug_assert!(self.form.known.contains(&name), "the form knows what is read: {name}");
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| &**value)
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

    fn refuse_not_yet(&self) -> Result<(), Problem> {
        match self.find(|name| self.form.not_yet.contains(&name)) {
            Some(name) => Err(Problem::NotYet { what: format!("the parameter {name}") }),
            None => Ok(()),
        }
    }

    /// A token in a URL ends up in logs and histories.
    fn refuse_tokens(&self) -> Result<(), Problem> {
        match self.find(|name| matches!(name, "authorization" | "access_token")) {
            Some(name) => {
                Err(Problem::NotYet { what: format!("a token in the query ({name}), which logs would keep,") })
            }
            None => Ok(()),
        }
    }

    fn refuse_others(&self) -> Result<(), Problem> {
        let refused = |name: &str, why: &str| Err(Problem::invalid(format!("unknown parameter {name:?}; {why}")));
        let known = self.form.known;
        match (self.form.others, self.find(|name| !known.contains(&name))) {
            (Others::Pass | Others::Unread, _) | (_, None) => Ok(()),
            (Others::Refuse, Some(name)) => refused(name, &format!("known are {}", known.join(", "))),
            (Others::NoneKnown(why), Some(name)) => refused(name, why),
        }
    }

    fn find(&self, is: impl Fn(&str) -> bool) -> Option<&str> {
        self.pairs.iter().map(|(name, _)| &**name).find(|name| is(name))
    }
}

fn form_decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    let refused = || Problem::invalid(format!("{text:?} in the query is not UTF-8 when it is decoded"));
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(|_| refused());
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(|_| refused())
}
