//! Lists and pages of services.

use super::*;
use crate::api::fixture::{busy_cart, cart, checked_cart, dns, headless};

#[test]
fn list_shows_usable_endpoints_by_port() {
    insta::assert_snapshot!(list(&[dns(), cart(), busy_cart(), checked_cart()], Layout::Whole), @"
    NAMESPACE     NAME   ADDRESS               PORT(S)           ENDPOINTS   CONNECTS
    kube-system   dns    10.96.0.53            53/UDP            0/0         12
    shop          cart   10.96.0.10,fd00::10   80/TCP,9000/TCP   3/4,1/1     200
    shop          cart   10.96.0.10,fd00::10   80/TCP,9000/TCP   1/4,1/1     200
    shop          cart   10.96.0.10,fd00::10   80/TCP,9000/TCP   2/4,1/1     200
    ");
}

#[test]
fn service_is_shown_with_its_endpoints() {
    insta::assert_snapshot!(page(&cart(), Layout::Whole), @"
    Service:   shop/cart
    Address:   10.96.0.10, fd00::10
    Origin:    /etc/mesh-agent/services.d/shop.yaml:12

    FRONTEND              KIND        STATE     REASON
    10.96.0.10:80/TCP     ClusterIP   served
    [fd00::10]:80/TCP     ClusterIP   served
    127.0.0.1:30080/TCP   NodePort    served
    10.96.0.10:9000/TCP   ClusterIP   served
    [fd00::10]:9000/TCP   ClusterIP   refused   no IPv6 endpoint

    Port http:80/TCP: 200 connects, 5 refused, 2 unrecorded
      leastConnections, 0 connections, capacity 0 usable of 0
      ENDPOINT           STATE      WEIGHT   CONNECTIONS   CONNECTS
      10.0.0.1:8080      active     1        0             60
      10.0.0.2:8080      active     2        0             117
      10.0.0.3:8080      notReady   1        0             3
      [fd00::a:1]:8080   active     1        0             20

    Port admin:9000/TCP: 0 connects
      leastConnections, 0 connections, capacity 0 usable of 0
      ENDPOINT        STATE                 WEIGHT   CONNECTIONS   CONNECTS
      10.0.0.4:9000   active, terminating   1        0             0
    ");
    insta::assert_snapshot!(page(&dns(), Layout::Whole), @"
    Service:   kube-system/dns
    Address:   10.96.0.53
    Origin:    /etc/mesh-agent/services.d/dns.yaml:1

    FRONTEND            KIND        STATE     REASON
    10.96.0.53:53/UDP   ClusterIP   refused   no endpoint

    Port 53/UDP: 12 connects
      leastConnections, 0 connections, capacity 0 usable of 0
      no endpoints: connects are refused
    ");
}

#[test]
fn load_is_shown_behind_the_endpoint() {
    let page = page(&busy_cart(), Layout::Whole);
    insta::assert_snapshot!(page.split_once("\nPort ").unwrap().1, @"
    http:80/TCP: 200 connects, 5 refused, 2 unrecorded, 7 failed, 1 ejections
      latencyAware, 52 connections, capacity 200 usable of 500
      ENDPOINT           STATE        WEIGHT   CONNECTIONS   CONNECTS   TIER   LOCALITY
      10.0.0.1:8080      active       1        40            60         -      -
      10.0.0.2:8080      ejected 8s   1 of 2   0             117        2      -
      10.0.0.3:8080      notReady     1        0             3          -      -
      [fd00::a:1]:8080   draining     1        12            20         1      b

    Port admin:9000/TCP: 0 connects
      leastConnections, 0 connections, capacity 0 usable of 0
      ENDPOINT        STATE                 WEIGHT   CONNECTIONS   CONNECTS
      10.0.0.4:9000   active, terminating   1        0             0

    Notes:
      10.0.0.9:8080 of shop/cart is drained by an operator, but not configured
    ");
}

#[test]
fn health_is_shown_behind_the_endpoint() {
    let page = page(&checked_cart(), Layout::Whole);
    insta::assert_snapshot!(page.split_once("\nPort ").unwrap().1, @"
    http:80/TCP: 200 connects, 5 refused, 2 unrecorded
      leastConnections, 0 connections, capacity 0 usable of 0
      checked by http /up every 5s ± 10 %, timeout 500ms, healthy after 2, unhealthy after 3, all are kept when all fail
      ENDPOINT           STATE       WEIGHT   CONNECTIONS   CONNECTS   HEALTH
      10.0.0.1:8080      active      1        0             60         healthy (66m40s)
      10.0.0.2:8080      unhealthy   2        0             117        unhealthy (connection refused, 12s)
      10.0.0.3:8080      notReady    1        0             3          -
      [fd00::a:1]:8080   active      1        0             20         unknown (1s)

    Port admin:9000/TCP: 0 connects
      leastConnections, 0 connections, capacity 0 usable of 0
      ENDPOINT        STATE                 WEIGHT   CONNECTIONS   CONNECTS   HEALTH
      10.0.0.4:9000   active, terminating   1        0             0          unhealthy (HTTP status 503, wanted 200-399, kept: all fail, 75s)
    ");
}

#[test]
fn service_left_alone_has_the_reason() {
    insta::assert_snapshot!(page(&headless(), Layout::Whole), @"
    Service:      shop/db
    Left alone:   it is headless (clusterIP None)
    Origin:       /etc/mesh-agent/services.d/shop.yaml:60
    ");
}
