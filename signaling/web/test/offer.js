// A session-initiate as our focus writes it, for several tests.
export const offerXml = `
<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s1" initiator="r@muc.d/focus">
 <content senders="both" creator="initiator" name="audio">
  <description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio" maxptime="60">
   <payload-type channels="2" name="opus" id="111" clockrate="48000">
    <parameter value="10" name="minptime"/><parameter value="1" name="useinbandfec"/>
    <rtcp-fb xmlns="urn:xmpp:jingle:apps:rtp:rtcp-fb:0" type="transport-cc"/>
   </payload-type>
   <rtp-hdrext xmlns="urn:xmpp:jingle:apps:rtp:rtp-hdrext:0" uri="urn:ietf:params:rtp-hdrext:ssrc-audio-level" id="1"/>
   <extmap-allow-mixed xmlns="urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"/>
   <rtcp-mux/>
  </description>
  <transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="uf" pwd="pw">
   <rtcp-mux/>
   <fingerprint xmlns="urn:xmpp:jingle:apps:dtls:0" setup="actpass" hash="sha-256">AA:BB</fingerprint>
   <candidate priority="2130706431" foundation="1" protocol="udp" ip="127.0.0.1" id="c1" component="1" generation="0" port="10000" network="0" type="host"/>
   <candidate priority="1" foundation="2" protocol="ssltcp" ip="127.0.0.1" component="1" generation="0" port="4443" type="host"/>
   <web-socket xmlns="http://jitsi.org/protocol/colibri" url="ws://localhost:8000/colibri-ws/jvb1/c/e?pwd=x"/>
  </transport>
 </content>
 <content senders="both" creator="initiator" name="video">
  <description xmlns="urn:xmpp:jingle:apps:rtp:1" media="video">
   <payload-type clockrate="90000" name="VP8" id="100">
    <rtcp-fb xmlns="urn:xmpp:jingle:apps:rtp:rtcp-fb:0" subtype="pli" type="nack"/>
   </payload-type>
   <payload-type clockrate="90000" name="rtx" id="96"><parameter value="100" name="apt"/></payload-type>
   <rtp-hdrext xmlns="urn:xmpp:jingle:apps:rtp:rtp-hdrext:0" uri="http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" id="3"/>
   <rtcp-mux/>
  </description>
  <transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="uf" pwd="pw"/>
 </content>
 <group xmlns="urn:xmpp:jingle:apps:grouping:0" semantics="BUNDLE"><content name="audio"/><content name="video"/></group>
 <bridge-session xmlns="http://jitsi.org/protocol/focus" id="b1"/>
 <json-message xmlns="http://jitsi.org/jitmeet">{"sources":{
  "jvb":[[{"s":"11","n":"jvb-v0","m":"m v"}],[],[{"s":"12","n":"jvb-a0","m":"m a"}]],
  "aaaa":[[{"s":"21","n":"aaaa-v0"},{"s":"22","n":"aaaa-v0"},{"s":"23","n":"aaaa-v0"},{"s":"24","n":"aaaa-v0"}],
          [["s",21,23],["f",21,22],["f",23,24]],[{"s":"25","n":"aaaa-a0"}],[]]}}</json-message>
</jingle>`;
