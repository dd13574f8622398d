//! The web page at `/ui`: files in the binary, without a build step and without anything from elsewhere.
//!
//! It shows what the API and `/trireme/…` tell the identity that the browser has: that of its certificate, or that of the
//! token that was given to the page and that its script sends along. Who has neither gets a page that says how to sign in.
//! The files themselves are anybody's: they hold nothing of the cluster.

use axum::Router;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderName, StatusCode, header};

struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, kind: $kind, text: include_str!($name) }
    };
}

static FILES: &[File] = &[
    file!("index.html", HTML),
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("api.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("signin.js", SCRIPT),
    file!("signin.css", "text/css; charset=utf-8"),
    file!("yaml.js", SCRIPT),
    file!("views-cluster.js", SCRIPT),
    file!("views-lists.js", SCRIPT),
    file!("views-object.js", SCRIPT),
];

const SIGN_IN: &str = include_str!("signin.html");

/// Nothing is loaded from, sent to, or framed by anybody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes.
pub fn router() -> Router {
    Router::new()
        .route("/ui", get(|| std::future::ready(Redirect::permanent("/ui/"))))
        .route("/ui/", get(|request: Request| std::future::ready(entrance(&request))))
        .route("/ui/{name}", get(|Path(name): Path<String>| std::future::ready(file(&name))))
}

fn entrance(request: &Request) -> Response {
    if request.extensions().get::<api_rest::Identity>().is_none() {
        return (StatusCode::UNAUTHORIZED, headers(HTML), SIGN_IN).into_response();
    }
    file("index.html")
}

fn file(name: &str) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => (headers(file.kind), file.text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn headers(kind: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The next build may bring other files.
        (header::CACHE_CONTROL, "no-cache"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_learns_how_to_sign_in() {
        let ask = |known: bool| {
            let mut request = Request::new(axum::body::Body::empty());
            if known {
                request.extensions_mut().insert(api_rest::Identity::new("admin", Vec::new()));
            }
            entrance(&request).status()
        };
        assert_eq!((ask(false), ask(true)), (StatusCode::UNAUTHORIZED, StatusCode::OK));
        assert_eq!(file("app.js").headers()[header::CONTENT_TYPE], SCRIPT);
        assert_eq!(file("nothing").status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_none_comes_from_elsewhere() {
        let sign_in = File { name: "signin.html", kind: HTML, text: SIGN_IN };
        for file in FILES.iter().chain([&sign_in]) {
            for (at, _) in file.text.match_indices("\"./") {
                let name = file.text[at + 3..].split('"').next().unwrap_or_default();
                assert!(FILES.iter().any(|f| f.name == name), "{} imports {name}", file.name);
            }
            for (at, _) in file.text.match_indices("=\"/ui/") {
                let name = file.text[at + 6..].split('"').next().unwrap_or_default();
                assert!(FILES.iter().any(|f| f.name == name), "{} names {name}", file.name);
            }
            let named = ["http://www.w3.org/2000/svg", "http://127.0.0.1:8001/ui/"];
            let foreign = named.iter().fold(file.text.to_owned(), |text, name| text.replace(name, ""));
            assert!(!foreign.contains("https://") && !foreign.contains("http://"), "{}", file.name);
        }
    }
}
