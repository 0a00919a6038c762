//! The options that every request shares.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use oyez_client::HttpConnect;

use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct RequestOptions {
    /// Send this header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "K: V")]
    headers: Vec<String>,

    /// Trust the certificates of this PEM file as well
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Do not check certificates
    #[arg(long)]
    insecure: bool,
}

impl RequestOptions {
    pub(crate) fn headers(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let parse = |header: &'_ String| match header.split_once(':') {
            Some(_) => Ok(()),
            None => Err(Failure::usage(format!("not a header, which is 'Name: value': {header:?}"))),
        };
        self.headers.iter().try_for_each(parse)?;
        Ok(self.headers.iter().filter_map(|header| header.split_once(':')).map(|(k, v)| (k.trim(), v.trim())).collect())
    }

    pub(crate) fn connect(&self) -> Result<HttpConnect, Failure> {
        let mut connect = HttpConnect::new();
        if let Some(file) = &self.cacert {
            let pem = fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            connect = connect
                .root_certificates(&pem)
                .map_err(|error| Failure::usage(format!("{}: {}", file.display(), crate::failure::one_line(&error))))?;
        }
        Ok(if self.insecure { connect.insecure() } else { connect })
    }
}
