/** Every option of the emulator: one line each. The parser, `-help` and the list of what is not there yet come from here.
 *  Options that QEMU 7.2 has and we have not are listed without a text: naming one is refused, never ignored. */

export interface OptionEntry {
  readonly name: string;
  readonly hasArg: boolean;
  readonly supported: boolean;
  /** Section of `-help` under which it stands. */
  readonly section?: string;
  /** Shown by `-help`: the forms, then the description (each line indented). */
  readonly forms?: readonly string[];
  readonly help?: readonly string[];
  /** Another name that `-help` shows beside this one. */
  readonly shownWith?: string;
}

interface Text {
  readonly forms: string | readonly string[];
  readonly help?: string | readonly string[];
}

function lines(text: string | readonly string[] | undefined): readonly string[] {
  return text === undefined ? [] : typeof text === 'string' ? [text] : text;
}

function option(section: string, name: string, hasArg: boolean, text: Text): OptionEntry {
  return { name, hasArg, supported: true, section, forms: lines(text.forms), help: lines(text.help) };
}

/** Known, works, not worth a line of help: spellings of another option. */
function alias(name: string, hasArg: boolean): OptionEntry {
  return { name, hasArg, supported: true };
}

function notYet(hasArg: boolean, names: string): OptionEntry[] {
  return names.split(' ').map((name) => ({ name, hasArg, supported: false }));
}

const STANDARD = 'Standard options';
const BLOCK = 'Block device options';
const DISPLAY = 'Display options';
const NETWORK = 'Network options';
const CHARACTER = 'Character device options';
const BOOT = 'Boot Image or Kernel specific';
const EXPERT = 'Debug/Expert options';

export const SECTIONS: readonly string[] = [STANDARD, BLOCK, DISPLAY, NETWORK, CHARACTER, BOOT, EXPERT];

export const OPTION_TABLE: readonly OptionEntry[] = [
  option(STANDARD, 'h', false, { forms: '-h or -help', help: 'print this text and exit' }),
  alias('help', false),
  option(STANDARD, 'version', false, { forms: '-version', help: 'print the version and exit' }),
  option(STANDARD, 'machine', true, {
    forms: '-machine [type=]name[,prop[=value][,...]]',
    help: [
      "board to emulate ('-machine help' lists them, '-machine name,help' its properties)",
      'accel=accel1[:accel2[:...]] what executes the guest (default: tcg)',
      'vmport=on|off|auto VMware backdoor port (default: auto)',
      'hpet=on|off, smm=on|off, max-ram-below-4g=size and others are properties of the board',
    ],
  }),
  alias('M', true),
  option(STANDARD, 'cpu', true, {
    forms: '-cpu model[,+feature][,-feature][,feature=on|off]',
    help: "processor model ('-cpu help' lists them)",
  }),
  option(STANDARD, 'accel', true, {
    forms: '-accel [accel=]accelerator[,prop[=value][,...]]',
    help: "what executes the guest ('-accel help' lists them)",
  }),
  option(STANDARD, 'smp', true, {
    forms:
      '-smp [[cpus=]n][,maxcpus=maxcpus][,sockets=sockets][,dies=dies][,clusters=clusters][,cores=cores][,threads=threads]',
    help: [
      'number of processors (default: 1) and how they are arranged;',
      'what is left out follows from the rest, cores before sockets',
    ],
  }),
  option(STANDARD, 'set', true, {
    forms: '-set group.id.key=value',
    help: 'set <key> of the <group> entry named <id> after it was given',
  }),
  option(STANDARD, 'global', true, {
    forms: ['-global driver.property=value', '-global driver=driver,property=property,value=value'],
    help: 'default for a property of every device of that type',
  }),
  option(STANDARD, 'boot', true, {
    forms: [
      '-boot [order=drives][,once=drives][,menu=on|off]',
      '      [,splash=file][,splash-time=ms][,reboot-timeout=ms][,strict=on|off]',
    ],
    help: [
      'drives: any of floppy (a), hard disk (c), CD-ROM (d), network (n), in order of trial',
      'menu: let the firmware ask; splash: picture shown meanwhile',
    ],
  }),
  option(STANDARD, 'm', true, {
    forms: '-m [size=]megs[,slots=n,maxmem=size]',
    help: 'guest memory in MiB, or with a suffix (k, M, G, T); default: 128M',
  }),
  option(STANDARD, 'device', true, {
    forms: '-device driver[,prop[=value][,...]]',
    help: [
      'add a device and set its properties',
      "'-device help' lists the devices, '-device driver,help' the properties of one",
    ],
  }),
  option(STANDARD, 'name', true, {
    forms: '-name [guest=]string1[,process=string2][,debug-threads=on|off]',
    help: ['name of the guest; string1 is shown to people, string2 names the process'],
  }),
  option(STANDARD, 'uuid', true, { forms: '-uuid %08x-%04x-%04x-%04x-%012x', help: "the machine's UUID" }),

  option(BLOCK, 'hda', true, { forms: '-hda/-hdb file', help: "'file' is the image of hard disk 0/1" }),
  alias('hdb', true),
  option(BLOCK, 'hdc', true, { forms: '-hdc/-hdd file', help: "'file' is the image of hard disk 2/3" }),
  alias('hdd', true),
  option(BLOCK, 'cdrom', true, { forms: '-cdrom file', help: "'file' is the disc in the CD-ROM drive" }),
  option(BLOCK, 'drive', true, {
    forms: [
      '-drive [file=file][,if=type][,bus=n][,unit=m][,media=d][,index=i]',
      '       [,cache=writethrough|writeback|none|directsync|unsafe][,format=f]',
      '       [,rerror=ignore|stop|report]',
      '       [,werror=ignore|stop|report|enospc][,id=name]',
      '       [,readonly=on|off]',
    ],
    help: ["'file' is the image of a drive", "with if=none the drive waits for a '-device ...,drive=name'"],
  }),

  option(DISPLAY, 'display', true, {
    forms: ['-display vnc=<display>[,<optargs>]', '-display none'],
    help: ['where the screen is shown; without this option: on the first', 'free VNC display of this host'],
  }),
  option(DISPLAY, 'nographic', false, {
    forms: '-nographic',
    help: 'no screen; first serial port and monitor share the terminal',
  }),
  option(DISPLAY, 'vga', true, { forms: '-vga [std|none]', help: "video card ('-vga help' lists them)" }),
  option(DISPLAY, 'vnc', true, {
    forms: '-vnc <display>[,<optargs>]',
    help: ['serve the screen over VNC: [host]:number, unix:path or none', "'-vnc help' lists the settings"],
  }),

  option(NETWORK, 'nic', true, { forms: '-nic none', help: 'no network card' }),
  option(NETWORK, 'net', true, { forms: '-net none', help: 'no network card (old spelling)' }),

  option(CHARACTER, 'chardev', true, {
    forms: [
      '-chardev help',
      '-chardev null,id=id[,mux=on|off][,logfile=PATH][,logappend=on|off]',
      '-chardev socket,id=id[,host=host],port=port[,ipv4=on|off][,ipv6=on|off][,nodelay=on|off]',
      '         [,server=on|off][,wait=on|off][,telnet=on|off][,mux=on|off] (tcp)',
      '-chardev socket,id=id,path=path[,server=on|off][,wait=on|off][,telnet=on|off][,mux=on|off] (unix)',
      '-chardev vc,id=id[[,width=width][,height=height]][[,cols=cols][,rows=rows]]',
      '-chardev ringbuf,id=id[,size=size]',
      '-chardev file,id=id,path=path[,mux=on|off]',
      '-chardev pipe,id=id,path=path[,mux=on|off]',
      '-chardev stdio,id=id[,mux=on|off][,signal=on|off]',
    ],
  }),

  option(BOOT, 'bios', true, { forms: '-bios file', help: 'firmware image' }),
  option(BOOT, 'kernel', true, { forms: '-kernel bzImage', help: "boot the Linux or Multiboot kernel 'bzImage'" }),
  option(BOOT, 'append', true, { forms: '-append cmdline', help: "the kernel's command line" }),
  option(BOOT, 'initrd', true, { forms: '-initrd file', help: 'initial RAM disk, or Multiboot modules' }),

  option(EXPERT, 'serial', true, { forms: '-serial dev', help: 'connect the next serial port to a character device' }),
  option(EXPERT, 'monitor', true, { forms: '-monitor dev', help: 'a monitor for people on a character device' }),
  option(EXPERT, 'qmp', true, { forms: '-qmp dev', help: 'a monitor for programs on a character device' }),
  option(EXPERT, 'qmp-pretty', true, { forms: '-qmp-pretty dev', help: 'the same with indented JSON' }),
  option(EXPERT, 'mon', true, { forms: '-mon [chardev=]name[,mode=readline|control][,pretty[=on|off]]' }),
  option(EXPERT, 'pidfile', true, { forms: '-pidfile file', help: "write the process id to 'file'" }),
  option(EXPERT, 'S', false, { forms: '-S', help: "do not start the guest (the monitor's 'c' does)" }),
  option(EXPERT, 'd', true, { forms: '-d item1,...', help: "log these items ('-d help' lists them)" }),
  option(EXPERT, 'D', true, { forms: '-D logfile', help: "write the log to 'logfile' (default: stderr)" }),
  option(EXPERT, 'L', true, { forms: '-L path', help: 'look for firmware here first' }),
  option(EXPERT, 'no-reboot', false, { forms: '-no-reboot', help: 'end instead of rebooting' }),
  option(EXPERT, 'no-shutdown', false, {
    forms: '-no-shutdown',
    help: 'pause instead of ending when the guest powers off',
  }),
  option(EXPERT, 'action', true, {
    forms: [
      '-action reboot=reset|shutdown',
      '-action shutdown=poweroff|pause',
      '-action panic=pause|shutdown|exit-failure|none',
    ],
    help: 'what follows a reboot, a power-off, a panic of the guest',
  }),
  option(EXPERT, 'daemonize', false, { forms: '-daemonize', help: 'go to the background once the machine is made' }),
  option(EXPERT, 'rtc', true, {
    forms: '-rtc [base=utc|localtime|<datetime>][,clock=host|rt|vm][,driftfix=none|slew]',
    help: "the real-time clock's start and what drives it",
  }),
  option(EXPERT, 'no-acpi', false, { forms: '-no-acpi', help: 'no power management and no ACPI tables' }),
  option(EXPERT, 'no-hpet', false, { forms: '-no-hpet', help: 'no high precision event timer' }),
  option(EXPERT, 'smbios', true, {
    forms: [
      '-smbios file=binary',
      '-smbios type=0[,vendor=str][,version=str][,date=str][,release=%d.%d][,uefi=on|off]',
      '-smbios type=1[,manufacturer=str][,product=str][,version=str][,serial=str][,uuid=uuid][,sku=str][,family=str]',
      '-smbios type=2[,manufacturer=str][,product=str][,version=str][,serial=str][,asset=str][,location=str]',
      '-smbios type=3[,manufacturer=str][,version=str][,serial=str][,asset=str][,sku=str]',
      '-smbios type=4[,sock_pfx=str][,manufacturer=str][,version=str][,serial=str][,asset=str][,part=str]',
      '               [,max-speed=%d][,current-speed=%d][,processor-id=%d]',
      '-smbios type=8[,external_reference=str][,internal_reference=str][,connector_type=%d][,port_type=%d]',
      '-smbios type=11[,value=str][,path=filename]',
      '-smbios type=17[,loc_pfx=str][,bank=str][,manufacturer=str][,serial=str][,asset=str][,part=str][,speed=%d]',
      '-smbios type=41[,designation=str][,kind=str][,instance=%d][,pcidev=str]',
    ],
    help: "structures for the firmware's SMBIOS table, or fields of those that it has",
  }),
  option(EXPERT, 'nodefaults', false, { forms: '-nodefaults', help: 'only the devices that are asked for' }),
  option(EXPERT, 'readconfig', true, { forms: '-readconfig <file>', help: 'read options from a file' }),
  option(EXPERT, 'no-user-config', false, { forms: '-no-user-config', help: "do not read the user's configuration" }),
  alias('nouserconfig', false),
  option(EXPERT, 'trace', true, {
    forms: '-trace [[enable=]<pattern>][,events=<file>][,file=<file>]',
    help: "print these events as they happen ('-trace help' lists them)",
  }),
  option(EXPERT, 'dump-vmstate', true, {
    forms: '-dump-vmstate <file>',
    help: 'describe the saved state of the machine as JSON and exit',
  }),

  ...notYet(
    true,
    'numa add-fd mem-path k audio audiodev fda fdb blockdev mtdblock sd fsdev virtfs iscsi usbdevice spice rotate acpitable netdev tpmdev pflash dtb compat fw_cfg parallel debugcon overcommit gdb dfilter seed xen-domid loadvm option-rom icount watchdog-action echr incoming chroot runas sandbox plugin msg object qtest qtest-log g prom-env semihosting-config',
  ),
  ...notYet(
    false,
    'mem-prealloc audio-help snapshot usb portrait full-screen win2k-hack no-fd-bootchk singlestep preconfig s enable-kvm xen-attach xen-domid-restrict only-migratable async-teardown enable-sync-profile semihosting old-param',
  ),
];

const BY_NAME: ReadonlyMap<string, OptionEntry> = new Map(OPTION_TABLE.map((entry) => [entry.name, entry]));

export function findOption(name: string): OptionEntry | undefined {
  return BY_NAME.get(name);
}
