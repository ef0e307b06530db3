/** Traffic that may reach an amphora. Without `cidr`, from everywhere; without `port`, all of the protocol. */
export interface IngressRule {
  ethertype: 'IPv4' | 'IPv6';
  /** `112` is VRRP. */
  protocol: 'tcp' | 'udp' | 'sctp' | '112';
  port?: number | undefined;
  cidr?: string | undefined;
}
