// Text as programs write it into their logs.

/** A log as it grows on a real machine: two formats, stack traces, empty lines, other scripts. The same for the same number. */
export function log(number) {
  let state = 0x2545f491;
  const random = (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const one = (choices) => choices[random(choices.length)];
  const start = Date.UTC(2026, 7, 1, 6);
  return Array.from({ length: number }, (_, index) => {
    const time = new Date(start + index * 137).toISOString();
    const address = `203.0.113.${random(256)}`;
    switch (random(10)) {
      case 0: return `${time} ERROR 订单服务: 用户「${one(NAMES)}」的订单 ${random(1e6)} 失败:库存不足(剩余 ${random(9)} 件)`;
      case 1: return `${time} WARN  [worker-${random(8)}] naïve café ☕ déjà vu — ${one(WORDS)} 🚀👩‍👩‍👧 "quoted\\" {json: ${random(1e6)}}`;
      case 2: return `\tat com.example.${one(['订单', 'Order', 'Zahlung'])}.submit(Order.java:${random(900)})  `;
      case 3: return `${time} DEBUG id=${index} сообщение: ${one(NAMES)} مرحبا שלום \u001b[33mcolour\u001b[0m \u2028 \u0085 ﹏`;
      case 4: return random(4) ? `data: ${index}` : '';
      case 5: return `: ${index} id: 1 event: x retry: 5`;
      case 6: return random(50) ? `${index}` : `${time} INFO  ${'长行很长 '.repeat(2_000)}${index}`;
      default: return `${address} - ${one(NAMES)} [${time}] "GET /${one(WORDS)}?q=${encodeURIComponent(one(NAMES))} HTTP/1.1" ${one([200, 304, 404, 500])} ${random(1e5)} "-" "Mozilla/5.0 (X11; Linux x86_64)"`;
    }
  });
}

const NAMES = ['王伟', '李娜', '张敏', 'Zoë', 'José', 'Иван', 'さくら', '김민수', 'anna'];
const WORDS = ['购物车', '登录', 'cart', 'checkout', 'suche', '検索', 'αναζήτηση'];
