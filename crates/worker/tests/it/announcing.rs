use protocol::{Announcement, Digest};
use serde::Deserialize;
use serde_json::{Value, json};
use service::Settings;

use crate::lab;
use crate::site::{Site, category};

async fn announcement(site: &mut Site) -> Announcement {
    #[derive(Deserialize)]
    struct News {
        method: String,
        params: Announcement,
    }
    let news: News = serde_json::from_slice(&site.news_as_written().await).unwrap();
    assert_eq!(news.method, "opendiscovery/announce");
    news.params
}

#[tokio::test]
async fn a_worker_announces_its_tools_once_it_consumes() {
    let mut site = Site::new().await;
    let settings = Settings {
        discovery_site: "dc-1".parse().unwrap(),
        amqp_workers: "3".parse().unwrap(),
        ..Settings::default()
    };
    site.process = service::Process::new("test", settings);
    site.spawn(lab::worker(), std::sync::Arc::new(site.memory.clone()));
    let news = announcement(&mut site).await;
    assert!(site.consumers().await > 0);
    assert_eq!(news.instance.category, category());
    assert_eq!(news.site, "dc-1");
    assert_eq!(news.capacity, 12);
    assert_eq!(news.encodings, ["zstd"]);
    assert_eq!(news.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(news.digest, news.digest());
    let names: Vec<String> = news
        .tools
        .iter()
        .map(|tool| {
            let tool: Value = serde_json::from_str(tool.get()).unwrap();
            tool["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["fail", "panic", "probe", "share", "sleep"]);
}

#[tokio::test(start_paused = true)]
async fn between_announcements_a_digest_tells_that_it_is_there() {
    let mut site = Site::new().await;
    site.spawn(lab::worker(), std::sync::Arc::new(site.memory.clone()));
    let first = announcement(&mut site).await;
    for _ in 0..3 {
        let started = tokio::time::Instant::now();
        let news = site.news().await;
        assert_eq!(news["method"], "opendiscovery/digest");
        let digest: Digest = serde_json::from_value(news["params"].clone()).unwrap();
        assert_eq!(digest.instance, first.instance);
        assert_eq!(digest.digest, first.digest);
        assert!(started.elapsed() <= std::time::Duration::from_secs(5));
    }
}

#[tokio::test]
async fn who_asks_is_told_everything_again() {
    let mut site = Site::new().await;
    site.spawn(lab::worker(), std::sync::Arc::new(site.memory.clone()));
    let first = announcement(&mut site).await;
    let discover = json!({"jsonrpc": "2.0", "method": "opendiscovery/discover"});
    site.control(site.names.discover_key(), &discover).await;
    let second = loop {
        let news = site.news().await;
        if news["method"] == "opendiscovery/announce" {
            break news;
        }
    };
    assert_eq!(second["params"]["instance"], first.instance.instance);
    assert_eq!(second["params"]["tools"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn after_an_outage_it_announces_itself_as_the_same_instance() {
    let mut site = Site::new().await;
    site.spawn(lab::worker(), std::sync::Arc::new(site.memory.clone()));
    let first = announcement(&mut site).await;
    site.outage().await;
    let second = announcement(&mut site).await;
    assert_eq!(first.instance, second.instance);
}

#[tokio::test]
async fn goodbye_names_the_instance() {
    let mut site = Site::new().await;
    site.spawn(lab::worker(), std::sync::Arc::new(site.memory.clone()));
    let first = announcement(&mut site).await;
    site.process.shutdown.cancel();
    site.ended().await.unwrap();
    let news = loop {
        let news = site.news().await;
        if news["method"] != "opendiscovery/digest" {
            break news;
        }
    };
    assert_eq!(
        news,
        json!({
            "jsonrpc": "2.0", "method": "opendiscovery/goodbye",
            "params": {"instance": first.instance.instance, "category": "lab"},
        })
    );
}
