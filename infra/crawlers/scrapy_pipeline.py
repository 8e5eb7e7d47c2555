"""A Scrapy item pipeline that publishes pictures to the gate, and a spider that feeds it.

    scrapy runspider scrapy_pipeline.py -a start=https://example.org/boats \\
        -s SLUICE_BROKERS=localhost:9092 -s SLUICE_REGISTRY=http://localhost:8081 -s SLUICE_STORES=/srv/sluice/stores

In a project of your own: put `DoorPipeline` into ITEM_PIPELINES, and yield a `Picture` from the callback of each picture's request.
"""

import time
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

import scrapy
from scrapy.exceptions import DropItem
from scrapy.http import HtmlResponse
from scrapy.linkextractors import LinkExtractor

from door import Door, item_id

KEPT_HEADERS = ["Content-Type", "Content-Length", "Date", "ETag", "Last-Modified", "Server", "TDM-Reservation", "X-Robots-Tag"]


@dataclass
class Picture:
    """A picture that was fetched, and what the page that showed it says of it."""

    response: scrapy.http.Response
    fetched_at: int
    page_url: str
    page_title: str | None = None
    caption: str | None = None
    page_robots: str | None = None
    page_tdm: str | None = None
    licence: str | None = None
    uploader: str | None = None
    uploader_url: str | None = None


class DoorPipeline:
    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def __init__(self, crawler):
        self.crawler = crawler
        self.run = str(uuid.uuid4())

    def open_spider(self):
        settings = self.crawler.settings
        self.door = Door(
            brokers=settings["SLUICE_BROKERS"],
            registry=settings["SLUICE_REGISTRY"],
            stores=settings.get("SLUICE_STORES"),
            prefix=settings.get("SLUICE_PREFIX", ""),
            source=f"/example/scrapy/{self.crawler.spider.name}",
            as_json=settings.getbool("SLUICE_JSON"),
            credentials=settings.get("SLUICE_KAFKA_CREDENTIALS"),
        )

    def process_item(self, item):
        if not isinstance(item, Picture):
            return item
        if not item.response.body:
            raise DropItem("a picture without bytes")
        self.door.publish(self.envelope(item), item.response.body)
        self.crawler.stats.inc_value("sluice/published")
        return item

    def close_spider(self):
        # Raises when something was not written; the crawl then ends with an error in its log.
        self.door.flush()

    def envelope(self, picture):
        response = picture.response
        # With the first one that was asked for, without the one that answered.
        passed = response.meta.get("redirect_urls", [])
        requested = passed[0] if passed else response.url
        return {
            "item": {
                "id": item_id("scrapy", requested),
                "mediaTypeClaimed": first(response, "Content-Type"),
                "collectedAt": picture.fetched_at,
            },
            "acquisition": {
                "crawler": f"scrapy/{scrapy.__version__} ({self.crawler.spider.name})",
                "run": self.run,
                "requestedUrl": requested,
                "redirects": passed[1:],
                "finalUrl": response.url,
                "status": response.status,
                "responseHeaders": [
                    {"name": name.lower(), "value": value} for name in KEPT_HEADERS for value in every(response, name)
                ],
                "remoteAddress": response.ip_address and str(response.ip_address),
                "fetchedAt": picture.fetched_at,
                # Scrapy's flag for an answer that ended before its announced length.
                "truncated": "disconnect" if "dataloss" in response.flags else None,
            },
            "origin": {
                "pageUrl": picture.page_url,
                "pageTitle": picture.page_title,
                "caption": picture.caption,
                "uploaderHandle": picture.uploader,
                "uploaderProfileUrl": picture.uploader_url,
                "platform": urlsplit(picture.page_url).hostname,
            },
            "supply": {"kind": "web-crawl", "supplier": "crawler.example.org"},
            "rights": {
                "licence": picture.licence,
                "robots": joined([*every(response, "X-Robots-Tag"), picture.page_robots]),
                "tdmOptOut": joined([first(response, "TDM-Reservation"), picture.page_tdm]),
            },
            "liveness": {"lastSeenAt": picture.fetched_at, "status": "online"},
        }


def every(response, name):
    return [value.decode("latin-1") for value in response.headers.getlist(name)]


def first(response, name):
    return next(iter(every(response, name)), None)


def absolute(page, href):
    return None if href is None else page.urljoin(href)


def joined(texts):
    return "; ".join(text for text in texts if text) or None


class PicturesSpider(scrapy.Spider):
    """Follows the links of one site and takes the pictures that its pages show."""

    name = "pictures"
    custom_settings = {
        "ITEM_PIPELINES": {DoorPipeline: 300},
        "ROBOTSTXT_OBEY": True,
        # Handed on as what it is; without this, Scrapy throws an answer that was cut short away.
        "DOWNLOAD_FAIL_ON_DATALOSS": False,
        "DOWNLOAD_MAXSIZE": 32 * 1024 * 1024,
    }

    def __init__(self, start, **arguments):
        super().__init__(**arguments)
        self.start_urls = [start]
        self.links = LinkExtractor(allow_domains=urlsplit(start).netloc)

    def parse(self, page):
        if not isinstance(page, HtmlResponse):
            return
        known = {
            "page_url": page.url,
            "page_title": page.css("title::text").get(),
            "page_robots": joined([*every(page, "X-Robots-Tag"), *page.css("meta[name=robots]::attr(content)").getall()]),
            "page_tdm": page.css("meta[name=tdm-reservation]::attr(content)").get(),
            "licence": absolute(page, page.css("[rel=license]::attr(href)").get()),
            "uploader": page.css("[rel=author]::text").get(),
            "uploader_url": absolute(page, page.css("[rel=author]::attr(href)").get()),
        }
        for picture in page.css("img[src]"):
            # Not a picture within the page's own text, data:...
            if urlsplit(page.urljoin(picture.attrib["src"])).scheme in ("http", "https"):
                told = {**known, "caption": picture.attrib.get("alt") or None}
                yield page.follow(picture.attrib["src"], self.parse_picture, cb_kwargs=told)
        yield from page.follow_all(self.links.extract_links(page), self.parse)

    def parse_picture(self, response, **known):
        yield Picture(response=response, fetched_at=int(time.time() * 1000), **known)
